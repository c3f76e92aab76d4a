// @rudderstack/rudder-sdk-node tells the story.
import RudderAnalytics from '@rudderstack/rudder-sdk-node'
import { inOrder, key, steps, url, who } from './input.mjs'

const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushInterval: 200 })
const tell = {
  page: (one) => client.page({ ...who(one), name: one.name, properties: one.properties }),
  screen: (one) => client.screen({ ...who(one), name: one.name }),
  track: (one) => client.track({ ...who(one), event: one.event, properties: one.properties }),
  alias: (one) => client.alias({ previousId: one.visitor, userId: one.user }),
  identify: (one) => client.identify({ userId: one.user, traits: one.traits }),
  group: (one) => client.group({ userId: one.user, groupId: one.group, traits: one.traits }),
}
await inOrder(steps, (step) => tell[step.do](step))
client.flush()
