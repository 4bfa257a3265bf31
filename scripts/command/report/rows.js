/*
 * rows.js: what the timeline shows and where: bands of processes, each with rows.
 */

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
