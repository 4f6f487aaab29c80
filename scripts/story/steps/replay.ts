import { expectLike, expectThat } from '../check.ts';
import type { StoryEvent } from '../feed.ts';
import type { Stage } from '../world.ts';

const EVENTS_PER_PAGE = 500;

/** What the live feed brought is what the log has: every event, once, in order. */
export async function compareWithLog(stage: Stage): Promise<void> {
  await stage.catchUp();
  const { events } = stage.feed;
  const first = events[0]?.seq ?? 0;
  const logged: StoryEvent[] = [];
  for (let after = first - 1; logged.length < events.length; after = logged.at(-1)!.seq) {
    const page = `/events?after=${after}&limit=${EVENTS_PER_PAGE}`;
    const { items } = await stage.admin.get(page, { status: 200 });
    expectThat(items.length > 0, `the log to have all ${events.length} events of the live feed`);
    logged.push(...items);
  }
  if (stage.isOwnOrg) expectThat(first === 1, `the live feed to begin with event 1, not ${first}`);
  expectLike('the live feed', events, logged.slice(0, events.length));
  await stage.say('admin', `the live feed brought ${events.length} events, as the log has them, in order`);
}
