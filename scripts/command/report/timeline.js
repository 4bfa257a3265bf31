/*
 * timeline.js: the timeline on the screen: what part of it is seen, what is chosen, pointer and keys.
 */

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
		thinned.push(`Of ${count(timeline.calls_in_all)} calls the ${count(timeline.calls.length)} drawn are those that took longest and a regular sample of the others; the tables count all.`);
	if (timeline.life.length < timeline.life_in_all)
		thinned.push(`Of ${count(timeline.life_in_all)} life-cycle events ${count(timeline.life.length)} are drawn: some events of sessions are left out.`);
	byId("thinned").textContent = thinned.join(" ");
}
