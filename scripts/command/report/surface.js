/*
 * surface.js: one way to draw on two things, a canvas and (printed) an SVG.
 */

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
