/** @file Real processes that are killed: locks that they leave are taken over, and files that they were writing are whole. */

import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAdapter } from '../adapter/storage/readAdapter.ts';
import { FileLock } from './fileLock.ts';

let root = '';
beforeAll(async () => {
  // Among the build's output, where it finds onnxruntime-node and git finds nothing.
  const dist = path.join(import.meta.dirname, '../../dist');
  mkdirSync(dist, { recursive: true });
  root = mkdtempSync(path.join(dist, 'lock-test-'));
  const ssr = path.join(import.meta.dirname, '../../fixtures/killedProcess.ts');
  await build({ configFile: false, logLevel: 'error', build: { ssr, outDir: root, target: 'node20' } });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const start = (...words: string[]): ChildProcess =>
  spawn(process.execPath, [path.join(root, 'killedProcess.js'), ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
const said = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => child.stdout!.once('data', (text: Buffer) => resolve(text.toString().trim())));
const ended = (child: ChildProcess): Promise<NodeJS.Signals | null> =>
  new Promise((resolve) => child.once('close', (_, signal) => resolve(signal)));

describe('a lock', () => {
  const folder = (): string => mkdtempSync(path.join(root, 'place-'));

  it('is one process’s until that ends, in whatever way', async () => {
    const place = folder();
    const file = path.join(place, 'lock');
    const first = start('lock', file);
    expect(await said(first)).toBe('taken');
    expect(FileLock.take(file)).toMatchObject({ pid: first.pid });
    expect(FileLock.holderOf(file)).toMatchObject({ pid: first.pid });
    first.stdin!.end();
    await ended(first);
    // It gave it back.
    expect(readdirSync(place)).toEqual([]);
    const second = start('lock', file);
    expect(await said(second)).toBe('taken');
    second.kill('SIGKILL');
    await ended(second);
    expect(readdirSync(place)).toEqual(['lock']);
    expect(FileLock.holderOf(file)).toBeUndefined();
    const own = FileLock.take(file) as FileLock;
    expect(own).toBeInstanceOf(FileLock);
    // Nor does another part of this process get it.
    expect(FileLock.take(file)).toMatchObject({ pid: process.pid });
    own.release();
    expect(readdirSync(place)).toEqual([]);
  });

  it('that a dead process left is taken over by one of several who find it', { timeout: 60_000 }, async () => {
    const place = folder();
    const file = path.join(place, 'lock');
    const dead = start('lock', file);
    await said(dead);
    dead.kill('SIGKILL');
    await ended(dead);
    const all = Array.from({ length: 4 }, () => start('lock', file));
    const answers = await Promise.all(all.map(said));
    expect(answers.sort()).toEqual(['refused', 'refused', 'refused', 'taken']);
    for (const each of all) each.stdin!.end();
    await Promise.all(all.map(ended));
    expect(readdirSync(place)).toEqual([]);
  });

  it('of another machine counts while its file is touched', () => {
    const file = path.join(folder(), 'lock');
    const owner = '00000000-00000000-1-1-0-00000000';
    writeFileSync(file, JSON.stringify({ owner, pid: 7, host: 'elsewhere', since: 'then' }));
    expect(FileLock.take(file)).toMatchObject({ owner, pid: 7, host: 'elsewhere' });
    const then = new Date(Date.now() - 6 * 60_000);
    utimesSync(file, then, then);
    const lock = FileLock.take(file) as FileLock;
    expect(lock).toBeInstanceOf(FileLock);
    lock.release();
    expect(existsSync(file)).toBe(false);
  });
});

it(
  'SIGKILL in the middle of saving leaves one adapter or the other, and the next save clears up',
  { timeout: 120_000 },
  async () => {
    const folder = path.join(root, 'adapter');
    await ended(start('save', folder, '2', '1000'));
    const ranks = new Set<number>();
    const whole = new Map<number, string>();
    const content = (): string =>
      ['adapter_config.json', 'adapter_model.safetensors']
        .map((name) => readFileSync(path.join(folder, name), 'latin1'))
        .join('|');
    whole.set(2, content());
    await ended(start('save', folder, '3', '1000'));
    whole.set(3, content());
    let rank = 3;
    let at = 0;
    for (; ; at++) {
      const other = rank === 2 ? 3 : 2;
      // Until there are no more calls.
      if ((await ended(start('save', folder, String(other), String(at)))) === null) break;
      // As PEFT would read it, and as we do.
      expect([...whole.values()]).toContain(content());
      rank = (await readAdapter(folder)).config.r;
      expect(content()).toBe(whole.get(rank));
      ranks.add(rank === other ? 1 : 0);
    }
    expect(at).toBeGreaterThan(10);
    expect(ranks.size).toBe(2);
    expect(await ended(start('save', folder, '3', '1000'))).toBeNull();
    expect(await ended(start('save', folder, '2', '1000'))).toBeNull();
    expect(readdirSync(folder).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  },
);
