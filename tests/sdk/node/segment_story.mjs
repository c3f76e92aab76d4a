// @segment/analytics-node tells the story.
import { Analytics } from '@segment/analytics-node'
import { inOrder, key, steps, url, who } from './input.mjs'

const client = new Analytics({ writeKey: key, host: url })
client.on('error', (error) => console.error(error.code, error.reason))
const tell = {
  page: (one) => client.page({ ...who(one), name: one.name, properties: one.properties }),
  screen: (one) => client.screen({ ...who(one), name: one.name }),
  track: (one) => client.track({ ...who(one), event: one.event, properties: one.properties }),
  alias: (one) => client.alias({ previousId: one.visitor, userId: one.user }),
  identify: (one) => client.identify({ userId: one.user, traits: one.traits }),
  group: (one) => client.group({ userId: one.user, groupId: one.group, traits: one.traits }),
}
await inOrder(steps, (step) => tell[step.do](step))
await client.closeAndFlush({ timeout: 30000 })
