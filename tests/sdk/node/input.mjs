// What the tests hand to a driver: `node driver.mjs URL KEY`, the steps of the story on its input.
import { readFileSync } from 'node:fs'

export const [url, key] = process.argv.slice(2)
export const steps = JSON.parse(readFileSync(0, 'utf8'))
export const who = (step) => (step.known ? { userId: step.user } : { anonymousId: step.visitor })

// A person needs a while from one step to the next; without it the time that a call is under way could turn them round.
export const inOrder = async (all, tell) => {
  for (const one of all) {
    await tell(one)
    await new Promise((later) => setTimeout(later, 100))
  }
}
