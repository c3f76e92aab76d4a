// What the tests hand to a page: #{"url": ..., "key": ..., "steps": [...]} at the end of its address.
export const { url, key, steps } = JSON.parse(decodeURIComponent(location.hash.slice(1)))
export const said = () => {
  document.body.dataset.drawn = 'yes'
}

// A person needs a while from one step to the next; without it the time that a call is under way could turn them round.
export const inOrder = async (all, tell) => {
  for (const one of all) {
    await tell(one)
    await new Promise((later) => setTimeout(later, 250))
  }
}
