import { measure } from '../lib/harness.ts';
import type { Fields, Measured } from '../lib/job.ts';
import { createIfAbsent } from './etcd.ts';
import { acquireBody, type Drive } from './subject.ts';

/** Ports. */
export interface Baselines {
  readonly echo: number;
  readonly insert: number;
  /** Null where there is no etcd. */
  readonly etcd: number | null;
}

type DrivenProbe = (drive: Drive) => Promise<Measured>;

/** What an acquire is measured against, asked with the same bodies. */
export function baselineProbes(
  ports: Baselines,
  lanes: readonly Fields[],
): { echo: DrivenProbe; insert: DrivenProbe; etcd: DrivenProbe | null } {
  const plain = { headers: {}, body: acquireBody('acme/shop'), lanes, expect: { status: 200 } };
  const { echo, insert, etcd } = ports;
  return {
    echo: (drive) => measure({ ...plain, ...drive, port: echo, path: '/echo' }),
    insert: (drive) => measure({ ...plain, ...drive, port: insert, path: '/insert' }),
    etcd: etcd === null ? null : (drive) => measure({ ...createIfAbsent(etcd), ...drive }),
  };
}
