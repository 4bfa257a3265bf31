/*
 * page.js: the page of p11shim report. Reads the JSON that page.jq made and draws it.
 *
 * Every text of a trace is untrusted: it reaches the page as a text node or is drawn
 * on the canvas, never as markup, never as the name of a property.
 */
"use strict";
(() => {

const { report, timeline } = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/* No control characters, and none that turn the direction of writing. */
const plain = (string) => string.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "?");

/* element("p", {class: "x", onclick: f}, "text", child, ...) */
function element(tag, attributes, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes || {})) {
		if (name.startsWith("on"))
			node.addEventListener(name.slice(2), value);
		else if (value !== null && value !== undefined && value !== false)
			node.setAttribute(name, value === true ? "" : value);
	}
	for (const child of children.flat(3))
		if (child !== null && child !== undefined && child !== "")
			node.append(typeof child === "string" ? plain(child) : child);
	return node;
}

/* ---- Words */

const count = (n) => n === null || n === undefined ? "–" : Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ",");
const many = (n, one, several) => `${count(n)} ${n === 1 ? one : several}`;
const basename = (path) => path.split("/").pop();

/* Of microseconds, with three digits that matter. */
function duration(us) {
	if (us === null || us === undefined)
		return "–";
	const [value, unit] = us < 999.5 ? [us, "µs"] : us < 999500 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
	return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
}

/* A moment, counted from the beginning, to the microsecond. */
const moment = (us) => `${(us / 1e6).toFixed(6)} s`;

function clock(us) {
	if (report.epoch === null)
		return "";
	const wall = report.epoch + report.begin + us;
	const date = new Date(Math.floor(wall / 1000));
	if (isNaN(date))
		return "";
	return `${date.toISOString().slice(0, 19).replace("T", " ")}.${String(Math.floor(wall % 1e6)).padStart(6, "0")} UTC`;
}

const fromBegin = (process, ts) => ts + (report.shift[process] || 0) - report.begin;

/* ---- Header */

const programs = [...new Set(report.processes.map((p) => p.name))];
const calls = report.processes.reduce((sum, p) => sum + p.calls, 0);
const failed = report.processes.reduce((sum, p) => sum + p.errors, 0);
const lifeOnly = report.processes.length > 0 && report.processes.every((p) => p.mode === "life");

function header() {
	const title = programs.slice(0, 3).join(", ") + (programs.length > 3 ? ` and ${programs.length - 3} more` : "");
	document.title = `${title} – p11shim report`;
	byId("headline").textContent = title;
	byId("subline").textContent = [
		report.files.join(", "),
		report.started ? `${report.started.slice(0, 19).replace("T", " ")} UTC` : null,
		`${duration(report.seconds * 1e6)} long`,
	].filter(Boolean).join("  ·  ");
	const figures = [
		["Findings", report.findings.length, report.findings.length ? "bad" : "good"],
		["Crashes", report.crashes.length, report.crashes.length ? "bad" : null],
		["Processes", report.processes.length],
		["Modules", report.modules.length],
		["Consumers", report.consumers.length],
		[lifeOnly ? "Life-cycle calls" : "Calls", calls],
		["Failed calls", failed],
	];
	byId("figures").append(...figures.filter(([name, n]) => name !== "Crashes" || n).map(([name, n, tone]) =>
		element("div", { class: tone }, element("dt", null, name), element("dd", null, count(n)))));
	const notes = report.notes.map((note) => note.length > 400 ? `${note.slice(0, 399)}…` : note);
	if (report.broken_lines)
		notes.push(`${many(report.broken_lines, "line", "lines")} of the trace could not be read (cut off, or a full disk) and left out.`);
	byId("notes").append(...notes.map((note) => element("li", null, note)));
	byId("notes").hidden = notes.length === 0;
}

/* ---- Stacks */

function stack(what, when, frames) {
	const main = frames.findLastIndex((frame) => frame.function === "main");
	return element("div", { class: "stack" },
		element("h4", null, what, element("small", null, when)),
		frames.length === 0 ? element("p", { class: "none" }, "No stack was recorded.") :
		element("ol", null, frames.map((frame, i) => {
			const object = frame.object === null ? "" : basename(frame.object);
			const place = frame.file === null ? "" : frame.file + (frame.line === null ? "" : `:${frame.line}`);
			return element("li", { class: main >= 0 && i > main ? "outer" : null, title: `${frame.object === null ? "" : `${frame.object}+`}${frame.offset}` },
				element("span", { class: "function" }, frame.function !== null ? frame.function : `${object}${object ? "+" : ""}${frame.offset}`),
				frame.function === null ? "" : [" ", element("span", { class: "object" }, frame.inlined ? "inlined" : object)],
				place ? [element("br"), element("span", { class: "place" }, place)] : "");
		})));
}

function stackOf(entry, process) {
	const at = entry.ts === null ? "" : moment(fromBegin(process, entry.ts));
	return stack(entry.what, [at ? `at ${at}` : "", entry.pid !== null ? `process ${entry.pid}` : "",
		entry.tid !== null && entry.tid !== entry.pid ? `thread ${entry.tid}` : ""].filter(Boolean).join(", "), entry.frames);
}

/* The process of a number, as of a finding: the one that the finding happened in, if it is that one's. */
function processOf(pid, preferred) {
	if (report.processes[preferred] && report.processes[preferred].pid === pid)
		return preferred;
	const found = report.processes.findLastIndex((p) => p.pid === pid);
	return found < 0 ? preferred : found;
}

const pairs = (entries) => element("dl", { class: "pairs" }, entries.filter(([, value]) => value !== "" && value !== null && value !== undefined)
	.map(([name, value]) => [element("dt", null, name), element("dd", null, value)]));

/* ---- Findings and crashes */

const severities = { crash: "can crash", error: "wrong", leak: "leak" };

function findings() {
	const list = byId("findings-list");
	if (report.findings.length === 0)
		list.append(element("p", { class: "none" }, "None: all consumers kept to the rules that the library watches."));
	for (const finding of report.findings) {
		const process = finding.occurrences[0].process;
		const tone = Object.hasOwn(severities, finding.severity) ? finding.severity : "error";
		const node = element("details", { class: `finding ${tone}`, id: `finding-${finding.id}` },
			element("summary", null,
				element("span", { class: "number" }, String(finding.id)),
				element("span", { class: "title" }, finding.title),
				element("span", { class: "told" }, finding.text || `${finding.consumer}: ${finding.call} of ${finding.module}`),
				element("span", { class: "right" },
					finding.count > 1 ? element("span", null, `${count(finding.count)} times${finding.processes.length > 1 ? ` in ${finding.processes.length} processes` : ""}`) : "",
					element("span", { class: `badge ${tone}` }, severities[tone]))),
			element("div", { class: "body" },
				element("p", null, finding.explanation),
				pairs([["Consumer", finding.consumer], ["Module", finding.module], ["Call", finding.call],
					["Kind", element("code", null, finding.name)],
					["Processes", finding.processes.join(", ")]]),
				element("div", { class: "what" }, element("b", null, "What to do"), element("p", null, finding.advice)),
				element("div", { class: "stacks" }, finding.stacks.map((entry) => stackOf(entry, processOf(entry.pid, process)))),
				element("button", { type: "button", class: "show", onclick: () => showFinding(finding, true) }, "Show in the timeline")));
		node.querySelector("summary").addEventListener("click", () => {
			if (!node.open)
				showFinding(finding, false);
		});
		list.append(node);
	}
	const all = byId("unfold-findings");
	all.hidden = report.findings.length < 2;
	all.addEventListener("click", () => {
		const open = [...list.querySelectorAll("details")].some((node) => !node.open);
		for (const node of list.querySelectorAll("details"))
			node.open = open;
		all.textContent = open ? "Close all" : "Open all";
	});
}

function crashCard(crash) {
	return [
		pairs([["Process", String(crash.pid)], ["Thread", String(crash.tid)], ["At", moment(fromBegin(crash.process, crash.ts))],
			["Address", crash.address],
			["Running", crash.in_flight.length === 0 ? "no call into a module" : element("div", null, crash.in_flight.map((call) =>
				element("div", null, `thread ${call.tid}: ${call.consumer} in ${call.call} of ${call.module}${call.us === null ? "" : `, for ${duration(call.us)}`}`)))]]),
		element("div", { class: "stacks" }, stack(crash.signal, `thread ${crash.tid}`, crash.frames)),
	];
}

function crashes() {
	byId("crashes").hidden = byId("nav-crashes").hidden = report.crashes.length === 0;
	for (const crash of report.crashes)
		byId("crashes-list").append(element("h3", { class: "bad" }, crash.signal), ...crashCard(crash));
}

/* ---- Tables */

/*
 * table(columns, rows): a column is {title, value(row), text(row), number, cell(row)};
 * what can be sorted has a value. A long table shows its first rows.
 */
function table(label, columns, rows, { sortable = false, limit = 60 } = {}) {
	const body = element("tbody");
	const more = element("button", { type: "button", class: "more", hidden: true });
	let shown = rows, all = false;
	const fill = () => {
		const visible = all ? shown : shown.slice(0, limit);
		body.replaceChildren(...visible.map((row) => element("tr", null, columns.map((column, i) => {
			const text = column.cell ? column.cell(row) : column.text ? column.text(row) : column.value(row);
			return element("td", { class: [column.number ? "number" : "", i === 0 ? "first" : "", column.tone ? column.tone(row) : ""].join(" ").trim() || null }, text);
		}))));
		more.hidden = visible.length === shown.length;
		more.textContent = `Show all ${count(shown.length)}`;
	};
	more.addEventListener("click", () => { all = true; fill(); });
	const heads = columns.map((column, i) => element("th", { scope: "col", class: [column.number ? "number" : "", i === 0 ? "first" : ""].join(" ").trim() || null },
		sortable && column.value ? element("button", { type: "button", onclick: () => sort(i) }, column.title) : column.title));
	function sort(i) {
		const column = columns[i];
		const now = heads[i].getAttribute("aria-sort");
		const direction = now === "descending" || (now === null && !column.number) ? "ascending" : "descending";
		heads.forEach((head) => head.removeAttribute("aria-sort"));
		heads[i].setAttribute("aria-sort", direction);
		const sign = direction === "ascending" ? 1 : -1;
		rows.sort((a, b) => {
			const [x, y] = [column.value(a), column.value(b)];
			return sign * (typeof x === "string" ? x.localeCompare(y) : (x ?? -1) - (y ?? -1));
		});
		filter(last);
	}
	let last = "";
	function filter(text) {
		last = text;
		const wanted = text.toLowerCase();
		shown = rows.filter((row) => !wanted || columns.some((column) => column.value && typeof column.value(row) === "string"
			&& column.value(row).toLowerCase().includes(wanted)));
		fill();
	}
	fill();
	return { node: element("div", { class: "wide" }, element("table", null, label ? element("caption", null, label) : "",
		element("thead", null, element("tr", null, heads)), body), more), sort, filter };
}

const consumers = [...new Set([...report.consumers.map((c) => c.name), ...report.functions.map((f) => f.consumer)])];
const colourOf = (consumer) => consumers.indexOf(consumer) % 8;

function named(consumer) {
	const dot = element("span", { class: "dot" });
	dot.style.background = `var(--consumer-${colourOf(consumer)})`;
	return element("span", { class: "named" }, dot, consumer);
}

function tables() {
	const most = Math.max(...report.functions.map((f) => f.total_us || 0), 1);
	const severalModules = report.modules.length > 1;
	if (report.functions.length === 0) {
		byId("calls-table").append(element("p", { class: "none" }, "No call was recorded."));
		byId("filter").hidden = true;
	} else {
		const functions = table("", [
			{ title: "Consumer", value: (f) => f.consumer, cell: (f) => named(f.consumer) },
			...severalModules ? [{ title: "Module", value: (f) => f.module }] : [],
			{ title: "Function", value: (f) => f.function, cell: (f) => element("span", { class: "mono" }, f.function) },
			{ title: "Calls", number: true, value: (f) => f.calls, text: (f) => count(f.calls) },
			{ title: "Failed", number: true, value: (f) => f.errors, text: (f) => f.errors ? count(f.errors) : "–", tone: (f) => f.errors ? "failed" : "" },
			{ title: "Median", number: true, value: (f) => f.p50_us, text: (f) => duration(f.p50_us) },
			{ title: "99 %", number: true, value: (f) => f.p99_us, text: (f) => duration(f.p99_us) },
			{ title: "Longest", number: true, value: (f) => f.max_us, text: (f) => duration(f.max_us) },
			{ title: "Total", number: true, value: (f) => f.total_us, cell: (f) => {
				const bar = element("span");
				bar.style.width = `${100 * (f.total_us || 0) / most}%`;
				bar.style.background = `var(--consumer-${colourOf(f.consumer)})`;
				return [duration(f.total_us), element("span", { class: "meter", "aria-hidden": "true" }, bar)];
			}, tone: () => "share" },
		], [...report.functions], { sortable: true });
		functions.sort(severalModules ? 8 : 7);
		byId("calls-table").append(functions.node);
		byId("filter").addEventListener("input", (event) => functions.filter(event.target.value));
	}

	byId("errors-table").append(report.errors.length === 0 ? element("p", { class: "none" }, "None.") : table("", [
		{ title: "Return value", cell: (e) => element("span", { class: "mono" }, e.rv) },
		{ title: "Calls", number: true, text: (e) => count(e.calls) },
		{ title: "By", cell: (e) => e.by.slice(0, 6).map((by) => element("div", null, `${by.consumer} ${by.function}${by.calls > 1 ? ` (${count(by.calls)})` : ""}`))
			.concat(e.by.length > 6 ? element("div", { class: "none" }, `and ${e.by.length - 6} more`) : []) },
	], report.errors).node);

	byId("processes-table").append(table("Processes", [
		{ title: "PID", number: true, text: (p) => String(p.pid) },
		{ title: "Program", text: (p) => p.program || p.name },
		{ title: "Started", text: (p) => [p.started ? p.started.slice(11, 23) : "", p.parent === null ? "" : p.parent_id !== null ? `forked from ${p.parent}` : `by ${p.parent}`].filter(Boolean).join(", ") },
		{ title: "Calls", number: true, text: (p) => count(p.calls) },
		{ title: "Failed", number: true, text: (p) => p.errors ? count(p.errors) : "–", tone: (p) => p.errors ? "failed" : "" },
		{ title: "End", text: (p) => p.ended || "", tone: (p) => p.crash ? "failed" : "" },
	], report.processes).node);
	if (report.modules.length > 0)
		byId("modules-table").append(table("Modules", [
			{ title: "Module", text: (m) => m.name },
			{ title: "Path", cell: (m) => m.paths.map((path) => element("div", null, path)) },
			{ title: "Initialised", number: true, text: (m) => m.initialised ? many(m.initialised, "time", "times") : "–" },
			{ title: "Calls", number: true, text: (m) => count(m.calls) },
			{ title: "Failed", number: true, text: (m) => m.errors ? count(m.errors) : "–", tone: (m) => m.errors ? "failed" : "" },
		], report.modules).node);
	if (report.consumers.length > 0)
		byId("consumers-table").append(table("Consumers", [
			{ title: "Consumer", cell: (c) => named(c.name) },
			{ title: "Module", text: (c) => c.module },
			{ title: "Path", cell: (c) => c.paths.map((path) => element("div", null, path)) },
			{ title: "Findings", number: true, text: (c) => c.findings ? count(c.findings) : "–", tone: (c) => c.findings ? "failed" : "" },
			{ title: "Calls", number: true, text: (c) => count(c.calls) },
			{ title: "Failed", number: true, text: (c) => c.errors ? count(c.errors) : "–", tone: (c) => c.errors ? "failed" : "" },
		], report.consumers).node);
}

/* ---- The timeline's model: bands of processes, each with rows */

const text = (n) => timeline.strings[n];
const length = Math.max(report.finish - report.begin, 1);

/* Processes, each followed by its children. */
function inOrder() {
	const children = new Map(), order = [], seen = new Set();
	for (const p of report.processes) {
		const parent = p.parent_id !== null && p.parent_id !== p.id ? p.parent_id : -1;
		children.set(parent, [...children.get(parent) || [], p]);
	}
	const add = (p, depth) => {
		if (seen.has(p.id))
			return;
		seen.add(p.id);
		order.push([p, depth]);
		for (const child of children.get(p.id) || [])
			add(child, depth + 1);
	};
	for (const p of children.get(-1) || [])
		add(p, 0);
	for (const p of report.processes)
		add(p, 0);
	return order;
}

const bands = inOrder().map(([process, depth]) => ({
	process, depth, folded: false, events: [], modules: new Map(), threads: new Map(),
	first: fromBegin(process.id, process.first_ts), last: fromBegin(process.id, process.last_ts),
}));
const bandOf = new Map(bands.map((band) => [band.process.id, band]));

function moduleRow(band, name) {
	if (!band.modules.has(name))
		band.modules.set(name, { kind: "module", name, spans: [], open: new Map(), events: [], consumers: new Map() });
	return band.modules.get(name);
}

function consumerRow(band, module, name) {
	const row = moduleRow(band, module);
	if (!row.consumers.has(name))
		row.consumers.set(name, { kind: "consumer", name, spans: [], open: new Map(), events: [] });
	return row.consumers.get(name);
}

function threadName(process, tid) {
	const names = timeline.threads[process];
	const name = names && Object.hasOwn(names, tid) ? names[tid] : "";
	/* the kernel keeps 15 characters of a program's name */
	return name === "" || report.processes[process].name.startsWith(name) ? `thread ${tid}` : `${name}  ${tid}`;
}

function threadRow(band, tid) {
	if (!band.threads.has(tid))
		band.threads.set(tid, { kind: "thread", tid, name: threadName(band.process.id, tid), calls: [], events: [] });
	return band.threads.get(tid);
}

/* Where an event of a consumer and module stands; the process's own row if of neither. */
function rowFor(band, consumer, module) {
	if (module === "-" || module === "")
		return band;
	return consumer === "-" || consumer === "" ? moduleRow(band, module) : consumerRow(band, module, consumer);
}

const events = []; /* what can be stepped through, in order of time */

function note(band, row, event) {
	event.band = band;
	event.row = row;
	row.events.push(event);
	events.push(event);
}

function model() {
	for (const [process, phase, ts, id, module, consumer] of timeline.spans) {
		const band = bandOf.get(process);
		/* only a "b" says whose it is */
		if (phase === "b") {
			const row = consumer === null ? moduleRow(band, module) : consumerRow(band, module, consumer);
			band.ids = band.ids || new Map();
			band.ids.set(id, row);
			if (!row.open.has(id))
				row.open.set(id, ts);
		} else {
			const row = band.ids && band.ids.get(id);
			if (row && row.open.has(id)) {
				row.spans.push([row.open.get(id), ts, false]);
				row.open.delete(id);
			}
		}
	}
	for (const band of bands)
		for (const module of band.modules.values())
			for (const row of [module, ...module.consumers.values()])
				for (const begin of row.open.values())
					row.spans.push([begin, band.last, true]);
	timeline.calls.forEach((call, i) => threadRow(bandOf.get(call[0]), call[1]).calls.push(i));
	for (const band of bands) {
		for (const row of band.threads.values())
			arrange(row);
	}
	for (const [process, tid, ts, name, consumer, module, rv, detail, stackNumber] of timeline.life) {
		const band = bandOf.get(process);
		note(band, rowFor(band, text(consumer), text(module)), {
			kind: "life", ts, tid, name: text(name), consumer: text(consumer), module: text(module), rv: text(rv), detail: text(detail), stack: stackNumber,
		});
	}
	for (const finding of report.findings)
		for (const { process, tid, ts } of finding.occurrences) {
			const band = bandOf.get(process);
			note(band, rowFor(band, finding.consumer, finding.module), { kind: "finding", ts: fromBegin(process, ts), tid, finding });
		}
	for (const crash of report.crashes) {
		const band = bandOf.get(crash.process);
		note(band, band, { kind: "crash", ts: fromBegin(crash.process, crash.ts), tid: crash.tid, crash });
	}
	events.sort((a, b) => a.ts - b.ts);
	if (bands.length > 12)
		bands.forEach((band) => { band.folded = true; });
}

/* A thread's calls by their beginnings, with how deep each is nested. */
function arrange(row) {
	row.calls.sort((a, b) => timeline.calls[a][2] - timeline.calls[b][2] || timeline.calls[b][3] - timeline.calls[a][3]);
	const n = row.calls.length;
	row.begins = new Float64Array(n);
	row.ends = new Float64Array(n);
	row.reach = new Float64Array(n); /* the latest end so far: grows, so it can be searched */
	row.depths = new Uint8Array(n);
	const open = [];
	row.calls.forEach((call, i) => {
		const [, , ts, took] = timeline.calls[call];
		row.begins[i] = ts;
		row.ends[i] = ts + took;
		row.reach[i] = Math.max(i ? row.reach[i - 1] : 0, ts + took);
		while (open.length && open[open.length - 1] <= ts)
			open.pop();
		row.depths[i] = Math.min(open.length, 2);
		open.push(ts + took);
	});
}

/* The first index at which a growing array reaches a value. */
function reached(array, value) {
	let low = 0, high = array.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (array[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- Layout: which rows there are, from where to where */

const heights = { process: 28, module: 19, consumer: 18, thread: 22, gap: 8 };

function layout(unfolded) {
	const rows = [];
	let y = 0;
	const add = (kind, band, row, label, indent) => {
		rows.push({ kind, band, row, label, indent, y, height: heights[kind] });
		y += heights[kind];
	};
	for (const band of bands) {
		band.top = y;
		add("process", band, band, band.process.name, band.depth);
		if (!band.folded || unfolded) {
			for (const module of band.modules.values()) {
				add("module", band, module, module.name, 0);
				for (const consumer of module.consumers.values())
					add("consumer", band, consumer, consumer.name, 1);
			}
			for (const thread of [...band.threads.values()].sort((a, b) => a.tid - b.tid))
				add("thread", band, thread, thread.name, 0);
		}
		band.bottom = y;
		y += heights.gap;
	}
	return { rows, height: Math.max(y - heights.gap, heights.process) + 6 };
}

/* ---- Drawing, on a canvas or (printed) into an SVG */

function canvasSurface(context) {
	return {
		rect(x, y, width, height, colour, alpha = 1) {
			context.globalAlpha = alpha;
			context.fillStyle = colour;
			context.fillRect(x, y, width, height);
			context.globalAlpha = 1;
		},
		text(string, x, y, colour, { size = 12, bold = false, mono = false, room = Infinity, align = "left" } = {}) {
			context.font = `${bold ? "600 " : ""}${size}px ${mono ? theme.mono : theme.sans}`;
			context.fillStyle = colour;
			context.textAlign = align;
			context.textBaseline = "middle";
			context.fillText(fit(string, room, (s) => context.measureText(s).width), x, y);
		},
		path(points, colour, width, closed = false) {
			context.beginPath();
			points.forEach(([x, y], i) => i ? context.lineTo(x, y) : context.moveTo(x, y));
			if (closed) {
				context.fillStyle = colour;
				context.fill();
			} else {
				context.strokeStyle = colour;
				context.lineWidth = width;
				context.stroke();
			}
		},
		curve(x1, y1, x2, y2, colour) {
			context.beginPath();
			context.moveTo(x1, y1);
			context.bezierCurveTo(x1, (y1 + y2) / 2, x2, (y1 + y2) / 2, x2, y2);
			context.strokeStyle = colour;
			context.lineWidth = 1.3;
			context.stroke();
		},
		clip(x, y, width, height, draw) {
			context.save();
			context.beginPath();
			context.rect(x, y, width, height);
			context.clip();
			draw();
			context.restore();
		},
	};
}

function svgSurface(svg) {
	const add = (tag, attributes) => {
		const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
		for (const [name, value] of Object.entries(attributes))
			node.setAttribute(name, value);
		svg.append(node);
		return node;
	};
	const ruler = document.createElement("canvas").getContext("2d");
	const round = (n) => Math.round(n * 100) / 100;
	return {
		rect(x, y, width, height, fill, alpha = 1) {
			add("rect", { x: round(x), y: round(y), width: round(width), height: round(height), fill, ...alpha < 1 ? { opacity: alpha } : {} });
		},
		text(string, x, y, fill, { size = 12, bold = false, mono = false, room = Infinity, align = "left" } = {}) {
			const family = mono ? theme.mono : theme.sans;
			ruler.font = `${bold ? "600 " : ""}${size}px ${family}`;
			add("text", {
				x: round(x), y: round(y), fill, "font-size": size, "font-weight": bold ? 600 : 400, "font-family": family,
				"dominant-baseline": "central", "text-anchor": { left: "start", center: "middle", right: "end" }[align],
			}).textContent = fit(string, room, (s) => ruler.measureText(s).width);
		},
		path(points, colour, width, closed = false) {
			const at = points.map(([x, y]) => `${round(x)},${round(y)}`).join(" ");
			if (closed)
				add("polygon", { points: at, fill: colour });
			else
				add("polyline", { points: at, fill: "none", stroke: colour, "stroke-width": width });
		},
		curve(x1, y1, x2, y2, stroke) {
			const middle = round((y1 + y2) / 2);
			add("path", { d: `M${round(x1)} ${round(y1)}C${round(x1)} ${middle} ${round(x2)} ${middle} ${round(x2)} ${round(y2)}`, fill: "none", stroke, "stroke-width": 1.3 });
		},
		clip(x, y, width, height, draw) { draw(); },
	};
}

/* A string, cut so that it fits. */
function fit(string, room, measure) {
	string = plain(string);
	if (string.length > 200)
		string = `${string.slice(0, 199)}…`;
	if (room === Infinity || measure(string) <= room)
		return string;
	let low = 0, high = string.length;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (measure(`${string.slice(0, middle)}…`) <= room)
			low = middle;
		else
			high = middle - 1;
	}
	return low === 0 ? "" : `${string.slice(0, low)}…`;
}

let theme;
function readTheme() {
	const style = getComputedStyle(document.documentElement);
	const read = (name) => style.getPropertyValue(`--${name}`).trim();
	theme = { sans: read("sans"), mono: read("mono"), consumers: [0, 1, 2, 3, 4, 5, 6, 7].map((n) => read(`consumer-${n}`)) };
	for (const name of ["page", "panel", "raised", "ink", "muted", "faint", "line", "line-soft", "crash", "band", "module", "select"])
		theme[name] = read(name);
}

/* Steps of 1, 2, 5 for a scale with room for so many labels. */
function step(span, labels) {
	const raw = span / Math.max(labels, 1);
	const power = 10 ** Math.floor(Math.log10(raw));
	return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
}

function drawAxis(surface, view, width, labels, y) {
	const room = width - labels;
	const unit = step(view.to - view.from, Math.max(room / 110, 3));
	const scale = Math.max(view.to, unit) >= 1e6 ? [1e6, "s"] : Math.max(view.to, unit) >= 1e3 ? [1e3, "ms"] : [1, "µs"];
	const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(unit / scale[0]) - 1e-9)));
	const ticks = [];
	for (let t = Math.ceil(view.from / unit) * unit; t <= view.to; t += unit)
		ticks.push([labels + (t - view.from) / (view.to - view.from) * room, `${(t / scale[0]).toFixed(digits)} ${scale[1]}`]);
	for (const [x, label] of ticks)
		if (x > labels + 4 && x < width - 24)
			surface.text(label, x, y, theme.muted, { size: 11.5, align: "center" });
	return ticks.map(([x]) => x);
}

/*
 * Draws rows between two heights. `at` has from, to, width, labels (the width of the
 * column of labels); y 0 is at `top`.
 */
function draw(surface, { rows }, at, top, bottom, marks) {
	const { from, to, width, labels } = at;
	const room = width - labels;
	const scale = room / (to - from);
	const X = (t) => labels + (t - from) * scale;
	const clamp = (x) => Math.min(Math.max(x, labels - 2), width + 2);
	const visible = rows.filter((row) => row.y + row.height > top && row.y < bottom);

	for (const band of bands) {
		if (band.bottom < top || band.top > bottom)
			continue;
		surface.rect(0, band.top - top, width, heights.process, theme.band);
	}
	for (const { kind, y, height } of visible)
		if (kind === "thread")
			surface.rect(0, y - top, width, height, theme.raised);

	surface.clip(labels, 0, room, bottom - top, () => {
		for (const x of at.ticks)
			surface.rect(Math.round(x), 0, 1, bottom - top, theme["line-soft"]);
		for (const item of visible) {
			const y = item.y - top;
			if (item.kind === "process") {
				const left = clamp(X(item.band.first)), right = clamp(X(item.band.last));
				surface.rect(left, y + height3(item) - 3, Math.max(right - left, 2), 3, theme.faint);
				if (item.band.folded && !marks.unfolded)
					for (const module of item.band.modules.values())
						for (const [begin, end] of module.spans)
							surface.rect(clamp(X(begin)), y + 6, Math.max(clamp(X(end)) - clamp(X(begin)), 1), 10, theme.module, 0.5);
			} else if (item.kind === "thread") {
				drawCalls(surface, item, y, at, X);
			} else {
				const colour = item.kind === "module" ? theme.module : theme.consumers[colourOf(item.row.name)];
				const inset = item.kind === "module" ? 4 : 5;
				let right = -Infinity;
				for (const [begin, end, open] of item.row.spans) {
					const x0 = clamp(X(begin)), x1 = Math.max(clamp(X(end)), x0 + 1.5);
					if (x1 < labels || x0 > width || x1 <= right + 0.4)
						continue;
					right = x1;
					surface.rect(x0, y + inset, x1 - x0, item.height - 2 * inset, colour, item.kind === "module" ? 0.55 : 0.8);
					/* never ended: an end that is torn off */
					if (open && x1 < width)
						for (let i = 0; i < 3; i++)
							surface.path([[x1, y + inset + i * 3], [x1 + 4, y + inset + 1.5 + i * 3], [x1, y + inset + 3 + i * 3]], colour, 1, true);
				}
			}
			let right = -Infinity;
			for (const event of item.row.events) {
				if (event.kind !== "life" || event.ts < from || event.ts > to)
					continue;
				const x = Math.round(X(event.ts));
				if (x - right < 1)
					continue;
				right = x;
				const bad = event.rv !== "" && event.rv !== "CKR_OK";
				surface.rect(x, y + 2, 1.5, item.height - 4, bad ? theme.crash : theme.ink);
				surface.path([[x - 2.5, y + 1.5], [x + 4, y + 1.5], [x + 0.75, y + 5.5]], bad ? theme.crash : theme.ink, 1, true);
			}
		}
		for (const [parent, , ts, child, , childTs] of timeline.forks) {
			const [a, b] = [bandOf.get(parent), bandOf.get(child)];
			if (Math.max(ts, childTs) < from || Math.min(ts, childTs) > to)
				continue;
			const [x1, y1, x2] = [X(ts), a.top + heights.process - 5 - top, X(childTs)];
			const y2 = b.top - top + (b.top > a.top ? 5 : heights.process - 4);
			if (Math.max(y1, y2) < 0 || Math.min(y1, y2) > bottom - top)
				continue;
			surface.curve(x1, y1, x2, y2, theme.muted);
			const down = b.top > a.top ? 1 : -1;
			surface.path([[x2 - 4, y2 - 3 * down], [x2 + 4, y2 - 3 * down], [x2, y2 + 5 * down]], theme.muted, 1, true);
			surface.path([[x1 - 3, y1], [x1, y1 - 3], [x1 + 3, y1], [x1, y1 + 3]], theme.muted, 1, true);
		}
		if (marks.printed)
			for (const item of visible)
				for (const event of eventsOf(item, marks.unfolded))
					if (event.kind !== "life") {
						const [x, y, r] = [X(event.ts), item.y - top + item.height / 2, 7.5];
						surface.path([[x - r, y], [x, y - r], [x + r, y], [x, y + r]], event.kind === "crash" ? theme.ink : theme.crash, 1, true);
						surface.text(event.kind === "crash" ? "×" : String(event.finding.id), x, y + 0.5, "#ffffff", { size: 9.5, bold: true, align: "center" });
					}
	});

	/* labels */
	surface.rect(0, 0, labels, bottom - top, theme.panel);
	for (const item of visible) {
		const y = item.y - top, middle = y + item.height / 2;
		if (item.kind === "process") {
			surface.rect(0, y, labels, item.height, theme.band);
			const x = 8 + Math.min(item.indent, 4) * 10;
			const closed = item.band.folded && !marks.unfolded;
			surface.path(closed ? [[x, middle - 4], [x + 5, middle], [x, middle + 4]] : [[x - 1, middle - 2.5], [x + 7, middle - 2.5], [x + 3, middle + 3]], theme.muted, 1, true);
			const pid = String(item.band.process.pid);
			surface.text(pid, labels - 9, middle, theme.muted, { size: 12, align: "right" });
			surface.text(item.label, x + 13, middle, theme.ink, { size: 12.5, bold: true, room: labels - x - 13 - pid.length * 7.6 - 14 });
		} else {
			if (item.kind === "thread")
				surface.rect(0, y, labels, item.height, theme.raised);
			surface.text(item.label, 21 + item.indent * 12, middle, item.kind === "module" ? theme.ink : theme.muted,
				{ size: 12, room: labels - 25 - item.indent * 12 });
		}
	}
	surface.rect(labels - 1, 0, 1, bottom - top, theme.line);
}

const height3 = (item) => item.height - 1;

function drawCalls(surface, { row, height }, y, { from, to, width }, X) {
	const last = reached(row.begins, to);
	const run = { x: 0, end: -Infinity, colour: "", depth: -1 };
	const flush = () => {
		if (run.depth >= 0)
			surface.rect(run.x, y + 4 + run.depth * 4, Math.max(run.end - run.x, 1), height - 7 - run.depth * 4, run.colour, run.depth ? 1 : 0.9);
	};
	const named = [], failures = [];
	for (let i = reached(row.reach, from); i < last; i++) {
		if (row.ends[i] < from)
			continue;
		const call = timeline.calls[row.calls[i]];
		const colour = theme.consumers[colourOf(text(call[5]))];
		const x = Math.max(X(row.begins[i]), -10), end = Math.max(Math.min(X(row.ends[i]), width + 10), x + 0.7);
		const depth = row.depths[i];
		if (text(call[7]) !== "CKR_OK")
			failures.push([x, end, depth]);
		/* what touches on the screen is drawn as one */
		if (depth === run.depth && x - run.end < 0.5 && end - x < 3 && (colour === run.colour || end - x < 1)) {
			run.end = Math.max(run.end, end);
			continue;
		}
		flush();
		Object.assign(run, { x, end, colour, depth });
		if (end - x > 34)
			named.push([x, end, depth, text(call[4])]);
	}
	flush();
	let right = -Infinity;
	for (const [x, end, depth] of failures) {
		if (end <= right + 0.5)
			continue;
		const w = Math.max(end - x, 2);
		right = x + w;
		surface.rect(x, y + 4 + depth * 4, w, height - 7 - depth * 4, theme.crash);
	}
	for (const [x, end, depth, name] of named) {
		const begin = Math.max(x, 0);
		surface.text(name, begin + 4, y + height / 2 + 1 + depth * 2, theme.panel, { size: 11, room: Math.min(end, width) - begin - 7 });
	}
}

/* ---- The timeline on the screen */

const scroller = byId("scroller"), stage = byId("stage"), canvas = byId("canvas"), axis = byId("axis");
const tooltip = byId("tooltip"), ring = byId("ring"), markers = byId("markers"), cursor = byId("cursor");
const whole = { from: -length * 0.012, to: length * 1.012 };
const view = { ...whole };
let places, width = 0, viewport = 0, labels = 200, selected = null, queued = false;

function clampView() {
	const limit = whole.to - whole.from;
	let span = Math.min(Math.max(view.to - view.from, Math.min(2, limit)), limit);
	let from = Math.min(Math.max(view.from, whole.from), whole.to - span);
	if (!Number.isFinite(from) || !Number.isFinite(span))
		[from, span] = [whole.from, limit];
	view.from = from;
	view.to = from + span;
}

function queue() {
	if (!queued) {
		queued = true;
		requestAnimationFrame(() => { queued = false; redraw(); });
	}
}

function measure() {
	width = byId("frame").clientWidth;
	labels = Math.round(Math.min(Math.max(width * 0.19, 104), 250));
	places = layout(false);
	byId("fold").textContent = bands.some((band) => !band.folded) ? "Fold all" : "Unfold all";
	byId("spacer").style.height = `${places.height}px`;
	width = scroller.clientWidth;
	viewport = Math.min(places.height, scroller.clientHeight || places.height);
	stage.style.height = `${viewport}px`;
}

function sized(target, height) {
	const ratio = window.devicePixelRatio || 1;
	target.width = Math.round(width * ratio);
	target.height = Math.round(height * ratio);
	target.style.width = `${width}px`;
	target.style.height = `${height}px`;
	const context = target.getContext("2d");
	context.scale(ratio, ratio);
	return canvasSurface(context);
}

const xOf = (t) => labels + (t - view.from) / (view.to - view.from) * (width - labels);
const timeAt = (x) => view.from + (x - labels) / (width - labels) * (view.to - view.from);

function redraw() {
	if (!places || width < 60)
		return;
	const top = scroller.scrollTop;
	const head = sized(axis, 26);
	const ticks = drawAxis(head, view, width, labels, 14);
	draw(sized(canvas, viewport), places, { ...view, width, labels, ticks }, top, top + viewport, {});
	placeMarkers(top);
	placeRing(top);
	const zoomed = view.from > whole.from || view.to < whole.to;
	byId("range").textContent = zoomed
		? `${moment(Math.max(view.from, 0))} to ${moment(Math.min(view.to, length))}: ${duration(view.to - view.from)}`
		: duration(length);
	byId("zoom-out").disabled = byId("fit").disabled = !zoomed;
	stage.dataset.from = view.from;
	stage.dataset.to = view.to;
}

/* The row of an event that is visible now: its own, or its process's if that is folded. */
const placeOf = (event) => places.rows.find((item) => item.row === event.row) || places.rows.find((item) => item.row === event.band);

/* What happened in a row; in the row of a folded process, all that happened in it. */
const eventsOf = (item, unfolded) => item.kind === "process" && item.band.folded && !unfolded
	? events.filter((event) => event.band === item.band) : item.row.events;

function placeMarkers(top) {
	const nodes = [];
	const rights = new Map();
	for (const item of places.rows) {
		if (item.y + item.height < top || item.y > top + viewport)
			continue;
		for (const event of eventsOf(item, false)) {
			if (event.kind === "life" || event.ts < view.from || event.ts > view.to)
				continue;
			const x = xOf(event.ts), y = item.y + item.height / 2 - top;
			/* those that lie upon one another: the first is enough */
			const key = `${item.y} ${event.kind} ${event.finding ? event.finding.id : ""}`;
			if (x - (rights.get(key) ?? -Infinity) < 5 || nodes.length > 400)
				continue;
			rights.set(key, x);
			const node = element("button", {
				type: "button", tabindex: "-1", class: `mark-${event.kind}`,
				"aria-label": event.kind === "crash" ? `Crash: ${event.crash.signal}` : `Finding ${event.finding.id}: ${event.finding.title}`,
				onclick: () => select({ event }),
			}, event.kind === "crash" ? "×" : String(event.finding.id));
			node.style.transform = `translate(${x - 9.5}px, ${y - 9.5}px)`;
			node.event = event;
			nodes.push(node);
		}
	}
	const focused = document.activeElement && document.activeElement.event;
	markers.replaceChildren(...nodes);
	if (focused) {
		const again = nodes.find((node) => node.event === focused);
		(again || scroller).focus({ preventScroll: true });
	}
}

function placeRing(top) {
	ring.hidden = true;
	if (!selected)
		return;
	let x, y, w, h;
	if (selected.event) {
		const item = placeOf(selected.event);
		if (!item)
			return;
		const r = selected.event.kind === "life" ? 8 : 12;
		[x, y, w, h] = [xOf(selected.event.ts) - r, item.y + item.height / 2 - top - r - 1, 2 * r, 2 * r];
	} else {
		const item = places.rows.find((place) => place.row === selected.row);
		if (!item)
			return;
		const begin = Math.max(xOf(selected.row.begins[selected.index]), labels - 6), end = Math.min(xOf(selected.row.ends[selected.index]), width + 6);
		[x, y, w, h] = [begin - 3, item.y + 1 - top, Math.max(end - begin, 1) + 6, item.height - 1];
	}
	if (x + w < labels || x > width || y + h < 0 || y > viewport)
		return;
	ring.style.transform = `translate(${x}px, ${y}px)`;
	ring.style.width = `${w}px`;
	ring.style.height = `${h}px`;
	ring.hidden = false;
}

/* What lies under a point of the stage: {event}, {row, index} for a call, {band} for a process's label. */
function under(x, y) {
	const at = y + scroller.scrollTop;
	const item = places.rows.find((row) => at >= row.y && at < row.y + row.height);
	if (!item)
		return null;
	if (x < labels)
		return item.kind === "process" ? { fold: item.band } : { label: item };
	let best = null, distance = 6;
	for (const event of item.row.events) {
		const d = Math.abs(xOf(event.ts) - x);
		if (d < distance) {
			best = event;
			distance = d;
		}
	}
	if (best)
		return { event: best };
	if (item.kind !== "thread")
		return { label: item };
	const row = item.row, slack = 3 * (view.to - view.from) / (width - labels);
	const t = timeAt(x);
	let found = -1, away = slack;
	for (let i = reached(row.reach, t - slack); i < row.begins.length && row.begins[i] <= t + slack; i++) {
		const d = t < row.begins[i] ? row.begins[i] - t : t > row.ends[i] ? t - row.ends[i] : 0;
		if (d < away || (d === 0 && away === 0)) {
			found = i;
			away = d;
		}
	}
	return found >= 0 ? { row, index: found } : { label: item };
}

const hint = () => element("p", { class: "hint" }, report.findings.length
	? "Choose a finding, a tick or a call to see what it is and who made it." : "Choose a tick or a call to see what it is and who made it.");

function parameters(number) {
	const given = timeline.parameters[number];
	if (!given)
		return [];
	const one = (value) => Array.isArray(value) ? value.map(one).join(", ") : value === null ? "NULL" : typeof value === "object" ? JSON.stringify(value) : String(value);
	return Object.entries(given).map(([name, value]) => [name, one(value)]);
}

const framesOf = (number) => (timeline.stacks[number] || []).map((n) => timeline.frames[n]);

function when(ts, band, tid) {
	return [["At", [moment(ts), clock(ts)].filter(Boolean).join("  ·  ")],
		["Process", `${band.process.name}, ${band.process.pid}${tid !== band.process.pid ? `, thread ${tid}` : ""}`]];
}

function describe(what) {
	if (what.event && what.event.kind === "finding") {
		const { finding, ts, band, tid } = what.event;
		return [
			element("h3", { class: "bad" }, `${finding.id}. ${finding.title}`),
			element("p", null, finding.text),
			pairs([["Consumer", finding.consumer], ["Module", finding.module], ["Call", finding.call], ...when(ts, band, tid)]),
			element("div", { class: "stacks" }, finding.stacks.map((entry) => stackOf(entry, processOf(entry.pid, finding.occurrences[0].process)))),
			element("button", { type: "button", onclick: () => {
				const node = byId(`finding-${finding.id}`);
				node.open = true;
				node.scrollIntoView({ block: "start" });
				node.querySelector("summary").focus({ preventScroll: true });
			} }, "What it means, and what to do"),
		];
	}
	if (what.event && what.event.kind === "crash")
		return [element("h3", { class: "bad" }, what.event.crash.signal), ...crashCard(what.event.crash)];
	if (what.event) {
		const { name, consumer, module, rv, detail, ts, tid, band, stack: number } = what.event;
		return [
			element("h3", null, name),
			pairs([["Consumer", consumer === "-" ? "" : consumer], ["Module", module === "-" ? "" : module],
				["Result", rv === "" ? "" : element("span", { class: rv === "CKR_OK" ? null : "bad" }, rv)], ["Detail", detail], ...when(ts, band, tid)]),
			framesOf(number).length ? element("div", { class: "stacks" }, stack("Called from", "", framesOf(number))) : "",
		];
	}
	const call = timeline.calls[what.row.calls[what.index]];
	const [process, tid, ts, took, name, consumer, module, rv, given] = call;
	return [
		element("h3", null, text(name)),
		pairs([["Consumer", text(consumer)], ["Module", text(module)],
			["Result", element("span", { class: text(rv) === "CKR_OK" ? null : "bad" }, text(rv))], ["Took", duration(took)],
			...when(ts, bandOf.get(process), tid), ...parameters(given)]),
	];
}

function select(what) {
	selected = what;
	byId("details").replaceChildren(...(what ? describe(what) : [hint()]));
	for (const node of document.querySelectorAll(".finding.marked"))
		node.classList.remove("marked");
	if (what && what.event && what.event.kind === "finding")
		byId(`finding-${what.event.finding.id}`).classList.add("marked");
	queue();
}

/* Brings an event into view, without changing the scale more than needed. */
function reveal(event) {
	const span = view.to - view.from;
	if (event.ts < view.from + span * 0.05 || event.ts > view.to - span * 0.05) {
		view.from = event.ts - span / 2;
		view.to = event.ts + span / 2;
		clampView();
	}
	const item = placeOf(event);
	if (item && (item.y < scroller.scrollTop || item.y + item.height > scroller.scrollTop + viewport))
		scroller.scrollTop = item.y - viewport / 2;
}

function showFinding(finding, scroll) {
	const event = events.find((e) => e.finding === finding);
	if (event.band.folded) {
		event.band.folded = false;
		measure();
	}
	reveal(event);
	select({ event });
	if (scroll) {
		byId("timeline").scrollIntoView({ block: "start" });
		scroller.focus({ preventScroll: true });
	}
}

function stepTo(direction, wanted) {
	const list = events.filter(wanted);
	if (list.length === 0)
		return;
	const here = selected && selected.event ? list.indexOf(selected.event) : -1;
	let index;
	if (here >= 0)
		index = (here + direction + list.length) % list.length;
	else {
		const middle = selected && selected.row ? selected.row.begins[selected.index] : direction > 0 ? view.from : view.to;
		index = direction > 0 ? list.findIndex((e) => e.ts >= middle) : list.findLastIndex((e) => e.ts <= middle);
		if (index < 0)
			index = direction > 0 ? 0 : list.length - 1;
	}
	reveal(list[index]);
	select({ event: list[index] });
}

function zoom(factor, around) {
	const middle = around === undefined ? (view.from + view.to) / 2 : around;
	view.from = middle - (middle - view.from) * factor;
	view.to = middle + (view.to - middle) * factor;
	clampView();
	hideTooltip();
	queue();
}

function pan(share) {
	const by = (view.to - view.from) * share;
	view.from += by;
	view.to += by;
	clampView();
	queue();
}

function fitAll() {
	Object.assign(view, whole);
	queue();
}

function hideTooltip() {
	tooltip.hidden = true;
}

function showTooltip(what, x, y) {
	let lines;
	if (what.event && what.event.kind === "finding")
		lines = [`${what.event.finding.id}. ${what.event.finding.title}`, what.event.finding.text, moment(what.event.ts)];
	else if (what.event && what.event.kind === "crash")
		lines = [what.event.crash.signal, moment(what.event.ts)];
	else if (what.event)
		lines = [what.event.name, [what.event.consumer, what.event.module].filter((s) => s && s !== "-").join(" → "),
			[what.event.rv, what.event.detail].filter(Boolean).join("  "), moment(what.event.ts)];
	else if (what.row) {
		const call = timeline.calls[what.row.calls[what.index]];
		lines = [text(call[4]), `${text(call[5])} → ${text(call[6])}`, `${text(call[7])} in ${duration(call[3])}, at ${moment(call[2])}`,
			...parameters(call[8]).slice(0, 7).map(([name, value]) => `${name}: ${value}`)];
	} else if (what.fold) {
		const p = what.fold.process;
		lines = [`${p.program || p.name}  ${p.pid}`, `${many(p.calls, "call", "calls")}, ${count(p.errors)} failed`, p.ended || ""];
	} else {
		const { kind, row, band } = what.label;
		if (kind === "process")
			lines = [`${band.process.program || band.process.name}  ${band.process.pid}`, band.process.ended || ""];
		else if (kind === "thread")
			lines = [row.name, `${many(row.calls.length, "call", "calls")} drawn`];
		else
			lines = [row.name, kind === "module" ? "Module: the bar is from its initialise to its finalise" : "Consumer: the bar is while it has the module initialised"];
	}
	tooltip.replaceChildren(...lines.filter(Boolean).map((line, i) =>
		element(i ? "div" : "b", null, fit(line, Infinity))));
	tooltip.hidden = false;
	const frame = byId("frame");
	const [w, h] = [tooltip.offsetWidth, tooltip.offsetHeight];
	tooltip.style.left = `${Math.max(4, x + 16 + w > frame.clientWidth ? x - w - 12 : x + 16)}px`;
	tooltip.style.top = `${y + 18 + h > frame.clientHeight ? Math.max(2, y - h - 10) : y + 18}px`;
}

function interact() {
	const pointers = new Map();
	let moved = 0, began = null, pinch = null;
	const at = (event) => {
		const box = stage.getBoundingClientRect();
		return [event.clientX - box.left, event.clientY - box.top];
	};
	stage.addEventListener("pointerdown", (event) => {
		if (event.button !== 0)
			return;
		pointers.set(event.pointerId, at(event));
		moved = 0;
		began = event.target;
		if (pointers.size === 2) {
			const [[x1], [x2]] = [...pointers.values()];
			pinch = { a: timeAt(Math.min(x1, x2)), b: timeAt(Math.max(x1, x2)) };
		}
	});
	stage.addEventListener("pointermove", (event) => {
		const [x, y] = at(event);
		const before = pointers.get(event.pointerId);
		if (!before) {
			const what = under(x, y);
			stage.classList.toggle("over", Boolean(what && (what.event || what.row || what.fold)));
			cursor.hidden = x < labels;
			cursor.style.transform = `translateX(${x}px)`;
			if (what)
				showTooltip(what, x, y + axis.offsetHeight);
			else
				hideTooltip();
			return;
		}
		moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
		pointers.set(event.pointerId, [x, y]);
		if (moved < 5)
			return;
		hideTooltip();
		cursor.hidden = true;
		stage.classList.add("dragging");
		if (!stage.hasPointerCapture(event.pointerId))
			stage.setPointerCapture(event.pointerId);
		if (pinch && pointers.size === 2) {
			const xs = [...pointers.values()].map(([px]) => px).sort((a, b) => a - b);
			const perPixel = (pinch.b - pinch.a) / Math.max(xs[1] - xs[0], 8);
			view.from = pinch.a - (xs[0] - labels) * perPixel;
			view.to = view.from + perPixel * (width - labels);
		} else {
			const by = (before[0] - x) / (width - labels) * (view.to - view.from);
			view.from += by;
			view.to += by;
			if (event.pointerType === "mouse")
				scroller.scrollTop += before[1] - y;
		}
		clampView();
		queue();
	});
	const release = (event) => {
		const point = pointers.get(event.pointerId);
		pointers.delete(event.pointerId);
		pinch = null;
		stage.classList.remove("dragging");
		if (event.type !== "pointerup" || !point || moved >= 5 || (began && began.event))
			return;
		const what = under(...point);
		if (what && what.fold)
			fold(what.fold);
		else
			select(what && (what.event || what.row) ? what : null);
	};
	stage.addEventListener("pointerup", release);
	stage.addEventListener("pointercancel", release);
	stage.addEventListener("pointerleave", () => {
		hideTooltip();
		cursor.hidden = true;
	});
	stage.addEventListener("wheel", (event) => {
		const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
		if (event.shiftKey && !sideways)
			return; /* scrolls the rows */
		if (sideways) {
			event.preventDefault();
			pan(event.deltaX / (width - labels));
			return;
		}
		/* all is shown already: the page scrolls on */
		if (event.deltaY > 0 && view.from <= whole.from && view.to >= whole.to)
			return;
		event.preventDefault();
		zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * (event.deltaMode ? 20 : 1) / 300))), timeAt(Math.max(at(event)[0], labels)));
	}, { passive: false });
	scroller.addEventListener("scroll", queue);
	byId("timeline").addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		const act = {
			"+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": fitAll, Home: fitAll,
			ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15),
			n: () => stepTo(1, () => true), p: () => stepTo(-1, () => true),
			f: () => stepTo(1, (e) => e.kind === "finding"), F: () => stepTo(-1, (e) => e.kind === "finding"),
			Escape: () => select(null),
		};
		if (Object.hasOwn(act, event.key)) {
			event.preventDefault();
			act[event.key]();
		}
	});
	byId("zoom-in").addEventListener("click", () => zoom(0.6));
	byId("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
	byId("fit").addEventListener("click", fitAll);
	byId("next").addEventListener("click", () => stepTo(1, () => true));
	byId("previous").addEventListener("click", () => stepTo(-1, () => true));
	byId("previous").disabled = byId("next").disabled = events.length === 0;
	const foldAll = byId("fold");
	foldAll.hidden = bands.length < 2;
	foldAll.addEventListener("click", () => {
		const some = bands.some((band) => !band.folded);
		bands.forEach((band) => { band.folded = some; });
		refold();
	});
	new ResizeObserver(() => { measure(); queue(); }).observe(byId("frame"));
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTheme(); queue(); });
}

function fold(band) {
	band.folded = !band.folded;
	refold();
}

function refold() {
	measure();
	queue();
}

function legend() {
	const entry = (style, words, cls) => {
		const sample = element("i", { class: cls });
		if (style)
			sample.style.background = style;
		return element("span", null, sample, words);
	};
	byId("legend").append(
		...consumers.slice(0, 8).map((name) => entry(`var(--consumer-${colourOf(name)})`, name.length > 60 ? `${name.slice(0, 59)}…` : name)),
		consumers.length > 8 ? element("span", null, `and ${consumers.length - 8} more consumers`) : "",
		entry("var(--module)", "module initialised"),
		failed ? entry("var(--crash)", "failed call") : "",
		entry("var(--ink)", "life cycle", "tick"),
		report.findings.length ? entry("", "finding", "diamond") : "");
	const thinned = [];
	if (timeline.calls.length < timeline.calls_in_all && !lifeOnly)
		thinned.push(`Of ${count(timeline.calls_in_all)} calls the ${count(timeline.calls.length)} drawn are those that took longest, and every so manieth of the others; the tables count all.`);
	if (timeline.life.length < timeline.life_in_all)
		thinned.push(`Of ${count(timeline.life_in_all)} life-cycle events ${count(timeline.life.length)} are drawn: fewer of sessions.`);
	byId("thinned").textContent = thinned.join(" ");
}

/* ---- Printed: all of the timeline as wide as the page, and every finding open */

let opened = [];
function beforePrint() {
	/* the colours of the style sheet for print, which is not in force yet */
	const light = { panel: "#ffffff", raised: "#f6f7f9", ink: "#14181d", muted: "#4b545e", faint: "#7b848d", line: "#cfd5db",
		"line-soft": "#e3e7eb", crash: "#b3231a", band: "#eef1f5", module: "#7b8794",
		consumers: ["#3b73d1", "#d07a13", "#2a9461", "#8a5ac9", "#c9508f", "#1792a3", "#8c6a45", "#7c8a12"] };
	const kept = theme;
	theme = { ...theme, ...light };
	/* of a crowd only what is unfolded on the screen */
	const unfolded = layout(true).rows.length <= 400;
	const w = 1040, all = layout(unfolded), head = 24;
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
	svg.setAttribute("viewBox", `0 0 ${w} ${all.height + head}`);
	const surface = svgSurface(svg);
	const ticks = drawAxis(surface, whole, w, 210, 12);
	const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
	group.setAttribute("transform", `translate(0 ${head})`);
	svg.append(group);
	draw(svgSurface(group), all, { ...whole, width: w, labels: 210, ticks }, 0, all.height, { printed: true, unfolded });
	byId("print-timeline").replaceChildren(svg);
	theme = kept;
	opened = [...document.querySelectorAll("details:not([open])")];
	opened.forEach((node) => { node.open = true; });
}

function afterPrint() {
	opened.forEach((node) => { node.open = false; });
	opened = [];
	byId("print-timeline").replaceChildren();
	measure();
	queue();
}

/* ---- All of it */

header();
findings();
crashes();
tables();
model();
readTheme();
legend();
select(null);
measure();
interact();
redraw();
window.addEventListener("beforeprint", beforePrint);
window.addEventListener("afterprint", afterPrint);
document.documentElement.dataset.ready = "yes";

})();
