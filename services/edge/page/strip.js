// The last minute of one way, drawn: to the right is now, upwards is late, on a scale where each line is ten times the one
// below. Dots came live, rings came back out of the log, crosses never came; hatched is where there was no connection.

const MINUTE_MS = 60_000;
const LATEST_MS = 60_000;
const LINES = [[10, '10 ms'], [100, '0.1 s'], [1_000, '1 s'], [10_000, '10 s']];
const GUTTER = 40; // for the words beside the lines
const FOOT = 10; // for the ticks of requests

/** Draws `tally` into a canvas. Colours are those of the style sheet: `color` of the canvas, and the page's variables. */
export class Strip {
  #canvas; #context; #width = 0; #height = 0; #colours = {};

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    new ResizeObserver(() => this.#measure()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#measure());
    this.#measure();
  }

  #measure() {
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = devicePixelRatio || 1;
    [this.#width, this.#height] = [clientWidth, clientHeight];
    [this.#canvas.width, this.#canvas.height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(this.#canvas);
    // A variable may hold light-dark(), which a canvas does not know: only a property is resolved.
    this.#colours = {
      own: style.color, line: style.borderTopColor, words: style.outlineColor, bad: style.textDecorationColor, font: style.fontFamily,
    };
  }

  /** `marks`: times at which somebody cut the connections. */
  draw(tally, marks, now) {
    const paint = this.#context;
    paint.clearRect(0, 0, this.#width, this.#height);
    this.#grid(paint);
    paint.save();
    paint.beginPath();
    paint.rect(GUTTER, 0, this.#width - GUTTER, this.#height);
    paint.clip();
    for (const { from, to } of tally.gaps) this.#gap(paint, this.#x(from, now), this.#x(to ?? now, now), to === undefined);
    for (const at of tally.asked) this.#tick(paint, this.#x(at, now));
    for (const at of marks) this.#mark(paint, this.#x(at, now));
    for (const dot of tally.dots) this.#dot(paint, dot, this.#x(dot.at, now));
    paint.restore();
  }

  #x(at, now) {
    return this.#width - 6 - ((now - at) / MINUTE_MS) * (this.#width - GUTTER - 6);
  }

  #y(latency) {
    const share = Math.log10(Math.min(Math.max(latency, 1), LATEST_MS)) / Math.log10(LATEST_MS);
    return this.#height - FOOT - 6 - share * (this.#height - FOOT - 14);
  }

  #grid(paint) {
    paint.lineWidth = 1;
    paint.strokeStyle = this.#colours.line;
    paint.fillStyle = this.#colours.words;
    paint.font = `11px ${this.#colours.font}`;
    paint.textAlign = 'right';
    paint.textBaseline = 'middle';
    for (const [latency, word] of LINES) {
      const y = Math.round(this.#y(latency)) + 0.5;
      this.#line(paint, GUTTER, y, this.#width, y);
      paint.fillText(word, GUTTER - 6, y);
    }
    const foot = this.#height - FOOT + 0.5;
    this.#line(paint, GUTTER, foot, this.#width, foot);
  }

  #line(paint, x, y, toX, toY) {
    paint.beginPath();
    paint.moveTo(x, y);
    paint.lineTo(toX, toY);
    paint.stroke();
  }

  #gap(paint, from, to, open) {
    const bottom = this.#height - FOOT;
    paint.save();
    paint.beginPath();
    paint.rect(from, 0, Math.max(to - from, 2), bottom);
    paint.clip();
    paint.strokeStyle = this.#colours.bad;
    paint.globalAlpha = 0.45;
    for (let x = from - bottom - (from % 7); x < to; x += 7) this.#line(paint, x, bottom, x + bottom, 0);
    paint.restore();
    if (open) return;
    // Where it came back.
    paint.strokeStyle = this.#colours.own;
    paint.lineWidth = 1.5;
    this.#line(paint, to, 0, to, bottom);
  }

  #tick(paint, x) {
    paint.strokeStyle = this.#colours.own;
    paint.lineWidth = 1.5;
    this.#line(paint, x, this.#height - FOOT + 2, x, this.#height - 1);
  }

  #mark(paint, x) {
    paint.save();
    paint.strokeStyle = this.#colours.bad;
    paint.lineWidth = 2;
    this.#line(paint, x, 0, x, this.#height);
    paint.restore();
  }

  #dot(paint, { kind, latency }, x) {
    if (kind === 'missed') return this.#cross(paint, x);
    paint.beginPath();
    paint.arc(x, this.#y(latency), kind === 'recovered' ? 3.4 : 2.6, 0, 2 * Math.PI);
    paint.fillStyle = paint.strokeStyle = this.#colours.own;
    paint.lineWidth = 1.4;
    if (kind === 'recovered') paint.stroke();
    else paint.fill();
    return undefined;
  }

  #cross(paint, x) {
    const y = this.#height - FOOT - 8;
    paint.strokeStyle = this.#colours.bad;
    paint.lineWidth = 1.8;
    this.#line(paint, x - 3, y - 3, x + 3, y + 3);
    this.#line(paint, x - 3, y + 3, x + 3, y - 3);
  }
}
