import type { StoryEvent } from './feed.ts';

const SEQ_WIDTH = 5;
const WHO_WIDTH = 8;

/** What the story shows: events as the live feed brings them, and what only the asker was told. */
export class Timeline {
  readonly #print: (line: string) => void;
  readonly #names = new Map<string, string>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** From now on, this id is shown by this name. */
  name(id: string, name: string): void {
    this.#names.set(id, name);
  }

  heading(text: string): void {
    this.#print('');
    this.#print(text);
  }

  event({ seq, at, kind, actor, subject, data }: StoryEvent): void {
    const who = this.#names.get(actor.id) ?? (actor.kind === 'system' ? 'system' : actor.role);
    const loop = this.#names.get(text(data['loopId'])) ?? null;
    const what = [kind.padEnd(18), this.#detail(subject, data), loop === null ? '' : `[${loop}]`];
    this.#line(at, `#${seq}`, who, what.filter((part) => part !== '').join(' '));
  }

  /** What somebody was told that is in no event. */
  say(who: string, what: string): void {
    this.#line(new Date().toISOString(), '', who, `-> ${what}`);
  }

  #line(at: string, seq: string, who: string, what: string): void {
    const time = at.slice(11, 23);
    this.#print(`${time} ${seq.padStart(SEQ_WIDTH)}  ${who.padEnd(WHO_WIDTH)}  ${what}`.trimEnd());
  }

  #detail(subject: StoryEvent['subject'], data: StoryEvent['data']): string {
    const called = this.#names.get(subject.id) ?? (subject.kind === 'policy' ? subject.id : '');
    const paths = [data['paths'], data['patterns']].flatMap((list) => (Array.isArray(list) ? list.map(text) : []));
    const parts = [
      text(data['name']) || called,
      text(data['action']),
      text(data['outcome'] ?? data['verdict']),
      text(data['service']),
      text(data['environment']),
      text(data['title']),
      text(data['commit']).slice(0, 12),
      paths.join(', '),
      typeof data['reason'] === 'string' ? `(${data['reason']})` : '',
      typeof data['comment'] === 'string' ? `"${data['comment']}"` : '',
    ];
    return printable([...new Set(parts)].filter((part) => part !== '').join(' '));
  }
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

/** Text of the log can be anybody's: nothing in it moves the cursor. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const printable = (line: string) => line.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
