// Preloaded, it sets the clock of the program three hours ahead: node --import ./later.mjs driver.mjs
const Real = Date
const AHEAD_MS = 3 * 3600 * 1000

globalThis.Date = class extends Real {
  constructor(...given) {
    if (given.length === 0) super(Real.now() + AHEAD_MS)
    else super(...given)
  }
  static now() {
    return Real.now() + AHEAD_MS
  }
}
