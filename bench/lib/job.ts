/** What the load generator is told, as JSON on its standard input. */
export interface Job {
  readonly port: number;
  /** Path, headers and body are templates: see `compileTemplate`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  /** Not counted: connections and caches warm up. */
  readonly warmupSeconds: number;
  /** First `{n}`: a number that no other request of a benchmark has. */
  readonly from: number;
  /** Arrivals a second: the open loop. Absent: each connection sends when its last answer is in, the closed loop. */
  readonly rate?: number;
  /** The closed loop ends after so many requests, all counted, and not by time. */
  readonly requests?: number;
  /** Values for `{name}`: connection k has those of `lanes[k % length]`. */
  readonly lanes?: readonly Fields[];
  /** Values for `{name}`: request i of the job has those of `items[i % length]`. */
  readonly items?: readonly Fields[];
  /** What every answer must be; any 2xx by default. Another one ends the measurement. */
  readonly expect?: { readonly status: number; readonly text?: string };
  /** Connections fight over files: see `FightScript`. */
  readonly fight?: Fight;
}

export type Fields = Readonly<Record<string, string>>;

export interface Fight {
  readonly files: number;
  /** How many files a connection keeps before it gives the oldest back. */
  readonly hold: number;
}

export interface Measured {
  /** Counted answers: within the time, and of the kind that the job counts. */
  readonly requests: number;
  readonly perSecond: number;
  /** From the sending, or in the open loop from when the request was due. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Open loop only: how late requests were sent, for want of a free connection or of processor time. */
  readonly lateP99Ms?: number;
  /** All answers of the job by what was asked and status, warm-up included, for checking against the log. */
  readonly answers: Readonly<Record<string, number>>;
  readonly next: number;
}
