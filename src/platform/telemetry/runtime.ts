import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Meter } from '@opentelemetry/api';

const DELAY_RESOLUTION_MS = 20;
const NANOSECONDS = 1e9;

/**
 * Observes the process: event loop delay and use, memory, CPU time, uptime. Everything is read when metrics are
 * collected, except the delay, for which a timer samples 50 times a second.
 *
 * | name | unit | meaning |
 * | --- | --- | --- |
 * | nodejs.eventloop.delay.{p50,p99,max} | s | how late timers fired since the last collection |
 * | nodejs.eventloop.utilization | 1 | share of time the loop was busy since the last collection |
 * | process.memory.usage | By | resident set |
 * | v8js.memory.heap.used, v8js.memory.heap.limit | By | JavaScript heap, committed size as limit |
 * | process.cpu.time | s | by `cpu.mode` user, system |
 * | process.uptime | s | since the process started |
 *
 * @returns stops the sampling timer.
 */
export function observeRuntime(meter: Meter): () => void {
  const stopDelay = observeEventLoop(meter);
  meter
    .createObservableUpDownCounter('process.memory.usage', { unit: 'By', description: 'Resident memory' })
    .addCallback((result) => result.observe(process.memoryUsage.rss()));
  observeHeap(meter);
  meter
    .createObservableCounter('process.cpu.time', { unit: 's', description: 'CPU time used by the process' })
    .addCallback((result) => {
      const { user, system } = process.cpuUsage();
      result.observe(user / 1e6, { 'cpu.mode': 'user' });
      result.observe(system / 1e6, { 'cpu.mode': 'system' });
    });
  meter
    .createObservableGauge('process.uptime', { unit: 's', description: 'Time since the process started' })
    .addCallback((result) => result.observe(process.uptime()));
  return stopDelay;
}

function observeEventLoop(meter: Meter): () => void {
  const histogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  histogram.enable();
  const delay = (name: string) =>
    meter.createObservableGauge(`nodejs.eventloop.delay.${name}`, {
      unit: 's',
      description: `Event loop delay, ${name}`,
    });
  const p50 = delay('p50');
  const p99 = delay('p99');
  const max = delay('max');
  const utilization = meter.createObservableGauge('nodejs.eventloop.utilization', {
    unit: '1',
    description: 'Share of time in which the event loop was busy',
  });
  let before = performance.eventLoopUtilization();
  meter.addBatchObservableCallback(
    (result) => {
      if (histogram.count > 0) {
        result.observe(p50, lateness(histogram.percentile(50)));
        result.observe(p99, lateness(histogram.percentile(99)));
        result.observe(max, lateness(histogram.max));
        histogram.reset();
      }
      const now = performance.eventLoopUtilization();
      result.observe(utilization, performance.eventLoopUtilization(now, before).utilization);
      before = now;
    },
    [p50, p99, max, utilization],
  );
  return () => histogram.disable();
}

/** The histogram counts the whole interval between two ticks; the delay is what exceeds the sampling interval. */
function lateness(intervalNanoseconds: number): number {
  return Math.max(0, intervalNanoseconds / NANOSECONDS - DELAY_RESOLUTION_MS / 1000);
}

function observeHeap(meter: Meter): void {
  const used = meter.createObservableUpDownCounter('v8js.memory.heap.used', { unit: 'By', description: 'Heap in use' });
  const limit = meter.createObservableUpDownCounter('v8js.memory.heap.limit', {
    unit: 'By',
    description: 'Heap committed by V8',
  });
  meter.addBatchObservableCallback(
    (result) => {
      const { heapUsed, heapTotal } = process.memoryUsage();
      result.observe(used, heapUsed);
      result.observe(limit, heapTotal);
    },
    [used, limit],
  );
}
