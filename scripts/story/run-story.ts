import { type Cast, gather } from './cast.ts';
import { StoryFailure } from './check.ts';
import { collide } from './steps/collide.ts';
import { deploy } from './steps/deploy.ts';
import { freeze } from './steps/freeze.ts';
import { openIncident } from './steps/incident.ts';
import { askAHuman } from './steps/payments.ts';
import { compareWithLog } from './steps/replay.ts';
import { findSuspects } from './steps/suspects.ts';
import { landInTurn } from './steps/work.ts';
import { type Landed, type Stage, type StoryOptions, setStage } from './world.ts';

/** What is left of a story: to look at, and to hold against another one. */
export interface StoryReport {
  readonly org: Stage['org'];
  readonly adminKey: string;
  readonly landed: readonly Landed[];
  readonly traceparents: readonly string[];
  readonly deployId: string;
  readonly incidentId: string;
  readonly events: Stage['feed']['events'];
  /** Every text that the server sent to anybody in the story. */
  readonly heard: readonly string[];
}

/**
 * Plays the whole story against a server: two developers' loops that want the same paths, a human checkpoint, a freeze,
 * commits with spans, a deploy, an incident and its suspects, all of it seen by a live feed.
 * @throws StoryFailure naming the step, what was expected and what came
 */
export async function runStory(options: StoryOptions): Promise<StoryReport> {
  const stage = await setStage(options);
  try {
    return await play(stage);
  } finally {
    await stage.close();
  }
}

async function play(stage: Stage): Promise<StoryReport> {
  const { timeline } = stage;
  let number = 0;
  const step = async <T>(title: string, work: () => Promise<T>): Promise<T> => {
    number += 1;
    timeline.heading(`${number}. ${title}`);
    try {
      const result = await work();
      await stage.catchUp();
      return result;
    } catch (error) {
      const { message } = error as Error;
      throw new StoryFailure(`step ${number}, "${title}": ${message}`, { cause: error });
    }
  };
  const cast = await step('Two developers, three loops, two worktrees', () => gather(stage));
  const collision = await step('Two loops want the same path', () => collide(stage, cast));
  const approved = await step('Payments are a human’s to approve', () => askAHuman(stage, cast));
  await step('Production is frozen', () => freeze(stage, cast));
  await step('Three loops land commits', () => landInTurn(stage, cast, collision));
  const deployed = await step('A deploy brings them out', () => deploy(stage, cast));
  const incidentId = await step('Production breaks', () => openIncident(stage, cast, deployed.at));
  const broken = { incidentId, deployId: deployed.id, approved };
  await step('Who did it', () => findSuspects(stage, cast, broken));
  await step('The runs end', () => finish(cast));
  await step('The live feed saw all of it', () => compareWithLog(stage));
  return {
    org: stage.org,
    adminKey: stage.admin.secret,
    landed: stage.landed,
    traceparents: [cast.triage, cast.refactoring, cast.dependencies].map(({ run }) => run.traceparent),
    deployId: deployed.id,
    incidentId,
    events: stage.feed.events,
    heard: stage.heard,
  };
}

async function finish({ triage, refactoring, dependencies }: Cast): Promise<void> {
  for (const { owner, run } of [triage, refactoring, dependencies]) {
    const end = { epoch: run.epoch, outcome: { status: 'succeeded' } };
    await owner.post(`/runs/${run.id}/finish`, end, { status: 200, body: { status: 'finished' } });
  }
}
