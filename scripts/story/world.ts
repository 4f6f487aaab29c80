import { randomBytes } from 'node:crypto';
import { type Body, type Caller, callerOf, type Transcript } from './api.ts';
import { StoryFailure } from './check.ts';
import { type Checkout, makeCheckout, type Worktree } from './checkout.ts';
import { type Feed, followFeed, type StoryEvent } from './feed.ts';
import { Timeline } from './timeline.ts';

export interface StoryOptions {
  /** Of a server that runs, without a slash at the end. */
  readonly url: string;
  /** A root key makes an org for this story alone; an admin's key plays it in the org that is there, under names of its own. */
  readonly key: { readonly root: string } | { readonly admin: string };
  readonly print: (line: string) => void;
  /** The time of the commits. Default: now. */
  readonly at?: Date;
}

/** A loop with a run of it, as its owner works it. */
export interface LoopAtWork {
  readonly name: string;
  readonly id: string;
  readonly run: { readonly id: string; readonly epoch: number; readonly traceparent: string };
  readonly owner: Caller & { readonly memberId: string };
  readonly worktree: Worktree;
}

/** A change that a loop landed. */
export interface Landed {
  readonly id: string;
  readonly commit: string;
  readonly loop: LoopAtWork;
}

export interface Names {
  readonly repo: string;
  readonly service: string;
  readonly paymentsTeam: string;
  readonly paymentsPolicy: string;
  readonly freezePolicy: string;
  email(person: string): string;
}

/** The stage: who plays, where, and what has been seen so far. Steps read it, and leave in `landed` what they landed. */
export interface Stage {
  readonly url: string;
  readonly org: { readonly id: string; readonly slug: string };
  /** It is there for this story alone. */
  readonly isOwnOrg: boolean;
  readonly names: Names;
  readonly admin: Caller;
  readonly heard: Transcript;
  readonly feed: Feed;
  readonly timeline: Timeline;
  readonly checkout: Checkout;
  readonly landed: Landed[];
  /** What to take back at the end in an org that was there before, the last first. */
  readonly undo: (() => Promise<unknown>)[];
  caller(key: Body, name: string): Caller;
  /** Waits until the live feed has brought all that there is. */
  catchUp(): Promise<void>;
  /** Tells what somebody was answered, after the events that came before. */
  say(who: string, what: string): Promise<void>;
  /** The event of this kind and subject, once the feed has brought it; each later than the one asked for before. @throws StoryFailure */
  seen(kind: string, subjectId: string): Promise<StoryEvent>;
  close(): Promise<void>;
}

const EVENTS_PER_PAGE = 500;

export async function setStage({ url, key, print, at = new Date() }: StoryOptions): Promise<Stage> {
  const tag = randomBytes(4).toString('hex');
  const heard: Transcript = [];
  const timeline = new Timeline(print);
  const caller: Stage['caller'] = ({ secret, id }: { secret: string; id: string }, name) =>
    callerOf(url, { name, secret, keyId: id }, heard);
  const isOwnOrg = 'root' in key;
  const { admin, org } = isOwnOrg ? await newOrg(key.root, tag, caller) : await knownOrg(key.admin, caller);
  if (admin.keyId !== '') timeline.name(admin.keyId, admin.name);
  const after = isOwnOrg ? 0 : await lastSeq(admin, 0);
  const checkout = await makeCheckout(at);
  const undo: Stage['undo'] = [];
  try {
    const onEvent = (event: StoryEvent) => timeline.event(event);
    const feed = await followFeed({ url, secret: admin.secret, after, heard, onEvent });
    const seeing = witness({ admin, feed, timeline, after });
    return {
      url,
      org,
      isOwnOrg,
      names: namesOf(isOwnOrg ? '' : `-${tag}`),
      admin,
      heard,
      feed,
      timeline,
      checkout,
      landed: [],
      undo,
      caller,
      ...seeing,
      close: async () => {
        if (!isOwnOrg) await takeBack(undo, timeline);
        await seeing.catchUp().catch(() => undefined);
        feed.close();
        await checkout.remove();
      },
    };
  } catch (error) {
    await checkout.remove();
    throw error;
  }
}

/** Whatever cannot be taken back is told; it is no reason to leave the rest. */
async function takeBack(undo: Stage['undo'], timeline: Timeline): Promise<void> {
  timeline.heading('Tidying up');
  for (const step of undo.toReversed())
    await step().catch((error: unknown) => timeline.say('admin', `left behind: ${(error as Error).message}`));
}

/** What the live feed shows, held against the log. */
function witness(from: {
  admin: Caller;
  feed: Feed;
  timeline: Timeline;
  after: number;
}): Pick<Stage, 'catchUp' | 'say' | 'seen'> {
  const { admin, feed, timeline, after } = from;
  let lastSeen = after;
  const catchUp = async () => feed.until(await lastSeq(admin, feed.events.at(-1)?.seq ?? after));
  return {
    catchUp,
    say: async (who, what) => {
      await catchUp();
      timeline.say(who, what);
    },
    seen: async (kind, subjectId) => {
      await catchUp();
      const event = feed.events.find((one) => one.kind === kind && one.subject.id === subjectId && one.seq > lastSeen);
      if (event === undefined)
        throw new StoryFailure(`the live feed brought no ${kind} of ${subjectId} after event ${lastSeen}`);
      lastSeen = event.seq;
      return event;
    },
  };
}

async function lastSeq(admin: Caller, after: number): Promise<number> {
  for (let last = after; ; ) {
    const { items, nextCursor } = await admin.get(`/events?after=${last}&limit=${EVENTS_PER_PAGE}`, { status: 200 });
    last = items.at(-1)?.seq ?? last;
    if (nextCursor === null) return last;
  }
}

async function newOrg(rootKey: string, tag: string, caller: Stage['caller']) {
  const root = caller({ secret: rootKey, id: '' }, 'root');
  const slug = `story-${tag}`;
  const { org, apiKey } = await root.post(
    '/orgs',
    { slug, name: 'The shop' },
    { status: 201, body: { org: { slug } } },
  );
  return { org, admin: caller(apiKey, 'admin') };
}

async function knownOrg(secret: string, caller: Stage['caller']) {
  const admin = caller({ secret, id: '' }, 'admin');
  return { org: await admin.get('/org', { status: 200 }), admin };
}

/** In an org of its own every story has the same names; elsewhere they are told apart by a suffix. */
function namesOf(suffix: string): Names {
  return {
    repo: `acme/shop${suffix}`,
    service: `shop${suffix}`,
    paymentsTeam: `payments${suffix}`,
    paymentsPolicy: `payments-checkpoint${suffix}`,
    freezePolicy: `release-freeze${suffix}`,
    email: (person) => `${person.toLowerCase()}${suffix}@example.com`,
  };
}
