/*
 * words.js: making elements of the page, and words of numbers.
 *
 * Every text of a trace is untrusted: it reaches the page as a text node or is drawn
 * on a canvas, never as markup, never as the name of a property.
 */

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
