/*
 * tables.js: tables that can be sorted and filtered.
 */

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
