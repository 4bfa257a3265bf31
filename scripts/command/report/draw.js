/*
 * draw.js: draws the axis and the rows on a surface.
 */

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
