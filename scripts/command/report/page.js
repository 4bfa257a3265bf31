/*
 * page.js: the page as printed; and the start of it all.
 */

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
