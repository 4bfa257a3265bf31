/*
 * accounts.js: what is told in words: the header, stacks, findings, crashes.
 */

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
		notes.push(`${many(report.broken_lines, "line", "lines")} of the trace could not be read, and are left out (the disk was full, or a process was killed while it wrote).`);
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
