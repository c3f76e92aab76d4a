// posthog-node tells the story. A visitor that nobody knows is told without a person's profile, as PostHog calls it.
import { PostHog } from 'posthog-node'
import { inOrder, key, steps, url } from './input.mjs'

const client = new PostHog(key, { host: url })
client.on('error', (error) => console.error(error))
const capture = (one, event, properties) =>
  client.capture(
    one.known
      ? { distinctId: one.user, event, properties }
      : { distinctId: one.visitor, event, properties: { ...properties, $process_person_profile: false } },
  )
const tell = {
  page: (one) => capture(one, '$pageview', { name: one.name, $current_url: one.properties.url }),
  screen: (one) => capture(one, '$screen', { $screen_name: one.name }),
  track: (one) => capture(one, one.event, one.properties),
  alias: (one) => client.alias({ distinctId: one.user, alias: one.visitor }),
  identify: (one) => client.identify({ distinctId: one.user, properties: one.traits }),
  group: (one) =>
    client.groupIdentify({
      groupType: 'company',
      groupKey: one.group,
      properties: one.traits,
      distinctId: one.user,
    }),
}
await inOrder(steps, (step) => tell[step.do](step))
await client.shutdown(30000)
