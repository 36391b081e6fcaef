// A clock for tests that moves when told: replaces setTimeout, setInterval and Date.now.

export class Clock {
  #now = 1_700_000_000_000;
  #timers = new Map();
  #next = 1;

  install() {
    const plan = (every) => (action, delay = 0) => {
      this.#timers.set(this.#next, { at: this.#now + delay, action, every: every && delay });
      return this.#next++;
    };
    globalThis.setTimeout = plan(false);
    globalThis.setInterval = plan(true);
    globalThis.clearTimeout = globalThis.clearInterval = (id) => this.#timers.delete(id);
    Date.now = () => this.#now;
    return this;
  }

  /** Runs what is due within the next `ms`, in order of time. */
  tick(ms) {
    const end = this.#now + ms;
    for (let steps = 0; steps < 100_000; steps += 1) {
      const [id, timer] = [...this.#timers].reduce((first, other) => (first[1].at <= other[1].at ? first : other), [0, { at: Infinity }]);
      if (timer.at > end) break;
      this.#now = Math.max(this.#now, timer.at);
      if (timer.every) timer.at += timer.every;
      else this.#timers.delete(id);
      timer.action();
    }
    this.#now = end;
  }
}
