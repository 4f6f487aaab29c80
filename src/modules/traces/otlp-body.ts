import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Problem } from '../../platform/errors.ts';
import { LIMITS } from './limits.ts';

/**
 * Reads a body, unpacked if it came as gzip. The limit is on what is unpacked, judged while it is: a bomb costs no more
 * than a body of that size. After a refusal the rest is read and thrown away, since a client that is still writing would
 * miss the answer.
 * @param take is told of every chunk that is kept, and may refuse it by throwing
 * @throws Problem 400 for gzip that is broken or cut; 413; 415 for another content coding
 */
export function readOtlpBody(payload: IncomingMessage, take: (bytes: number) => void): Promise<Buffer> {
  const coding = (payload.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (coding !== 'gzip' && coding !== 'identity') {
    payload.resume();
    throw new Problem(415, 'unsupported_media_type', `The content encoding ${coding.slice(0, 40)} is not gzip.`);
  }
  return collect(payload, coding === 'gzip' ? payload.pipe(createGunzip()) : payload, take);
}

function collect(payload: IncomingMessage, source: Readable, take: (bytes: number) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let wire = 0;
    let failed = false;
    const fail = (error: Error): void => {
      if (failed) return;
      failed = true;
      chunks.length = 0;
      if (source !== payload) {
        payload.unpipe(source as NodeJS.WritableStream & Readable);
        source.destroy();
      }
      payload.resume();
      reject(error);
    };
    // Empty gzip members unpack to nothing and could go on for ever.
    payload.on('data', (chunk: Buffer) => {
      wire += chunk.length;
      if (wire > LIMITS.bodyBytes) fail(tooLarge());
    });
    payload.once('close', () => {
      if (!payload.complete) fail(new Problem(400, 'bad_request', 'The request ended before its body did.'));
    });
    source.on('data', (chunk: Buffer) => {
      if (failed) return;
      size += chunk.length;
      if (size > LIMITS.bodyBytes) return fail(tooLarge());
      try {
        take(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        fail(error as Error);
      }
    });
    source.once('end', () => {
      if (!failed) resolve(Buffer.concat(chunks, size));
    });
    source.on('error', (error) =>
      fail(new Problem(400, 'bad_request', `The body is not gzip as announced: ${error.message}.`)),
    );
  });
}

function tooLarge(): Problem {
  const mebibytes = LIMITS.bodyBytes / 1024 / 1024;
  return new Problem(413, 'body_too_large', `The body is over ${mebibytes} MiB after decompression.`);
}
