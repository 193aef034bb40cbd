/** @file Tests of `eval`: on what an adapter was not trained on, unless all is asked for; and what an untrained head says. */

import { cpSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

interface Measured {
  readonly accuracy: number;
  readonly examples: number;
  readonly trainedOn?: number;
  readonly leftOut?: number;
  readonly untrainedHead?: boolean;
}

/** Digits in folders of names that the model has never heard of. */
function animals(folder: string, options: { readonly perClass: number; readonly from?: number }): string {
  writeDigits(folder, { ...options, classes: [3, 8] });
  renameSync(path.join(folder, '3'), path.join(folder, 'cat'));
  renameSync(path.join(folder, '8'), path.join(folder, 'dog'));
  return folder;
}

describe('with the adapter of a run', () => {
  it('measures what the run has held out, and says what it was trained on where all is asked for', async () => {
    const folder = temporaryFolder();
    const data = animals(path.join(folder, 'animals'), { perClass: 20 });
    const out = path.join(folder, 'run');
    const run = await callJson<{ after: { accuracy: number } }>('train', vit, '--data', data, '--out', out, '--steps', '3', '--validation', '0.2', '--threads', '1'); // prettier-ignore
    const measured = (...argv: string[]): Promise<Measured> => callJson('eval', vit, '--data', data, ...argv);
    const held = await measured('--adapter', out);
    expect(held).toMatchObject({ examples: 8, leftOut: 32, trainedOn: 0 });
    expect(held.accuracy).toBeCloseTo(run.after.accuracy, 10);
    expect(await measured('--adapter', path.join(out, 'adapter'))).toEqual(held);
    const all = await measured('--adapter', out, '--split', 'all');
    expect(all).toMatchObject({ examples: 40, trainedOn: 32 });
    expect(all).not.toHaveProperty('leftOut');
    // Also where the data are divided again.
    expect(await measured('--adapter', out, '--validation', '0.5', '--seed', '3')).toMatchObject({ trainedOn: 0 });

    const { stdout } = await call(['eval', vit, '--data', data, '--adapter', out]);
    expect(stdout).toMatch(
      /on 8 examples in .*\n32 more are left out, since the run was trained on them; --split all measures everything\.\n$/,
    );
    const { stdout: everything } = await call(['eval', vit, '--data', data, '--adapter', out, '--split', 'all']);
    expect(everything).toMatch(/warning: 32 of these were trained on, which says little of new ones/);

    // Wherever the files lie and whatever they are called.
    const elsewhere = path.join(folder, 'elsewhere');
    cpSync(data, elsewhere, { recursive: true });
    for (const name of readdirSync(path.join(elsewhere, 'cat')))
      renameSync(path.join(elsewhere, 'cat', name), path.join(elsewhere, 'cat', `new-${name}`));
    expect(await callJson('eval', vit, '--data', elsewhere, '--adapter', out)).toEqual(held);
    const others = animals(path.join(folder, 'others'), { perClass: 3, from: 500 });
    const unseen = await callJson<Measured>('eval', vit, '--data', others, '--adapter', out);
    expect(unseen).toMatchObject({ examples: 6, trainedOn: 0 });
    expect(unseen).not.toHaveProperty('leftOut');
  });

  it('measures what it was trained on where there is nothing else, and says so', async () => {
    const folder = temporaryFolder();
    const data = animals(path.join(folder, 'animals'), { perClass: 4 });
    const out = path.join(folder, 'run');
    await callJson('train', vit, '--data', data, '--out', out, '--steps', '1', '--validation', '0', '--threads', '1');
    expect(await callJson('eval', vit, '--data', data, '--adapter', out)).toMatchObject({ examples: 8, trainedOn: 8 });
    const { stdout } = await call(['eval', vit, '--data', data, '--adapter', out]);
    expect(stdout).toMatch(/warning: all were trained on/);
  });
});

it('says that a head was never trained where the base has none for the labels', async () => {
  const folder = temporaryFolder();
  const data = animals(path.join(folder, 'animals'), { perClass: 3 });
  expect(await callJson('eval', vit, '--data', data)).toMatchObject({ examples: 6, untrainedHead: true });
  expect((await call(['eval', vit, '--data', data])).stdout).toMatch(/warning: the model has no head for these labels/);
  const known = path.join(folder, 'known');
  writeDigits(known, { perClass: 1 });
  expect(await callJson('eval', vit, '--data', known)).not.toHaveProperty('untrainedHead');
});

describe('of a manifest with parts', () => {
  let folder: string;

  /** Ten digits in the named parts, turn by turn. */
  function manifest(...parts: string[]): string {
    folder = temporaryFolder();
    const files = writeDigits(path.join(folder, 'digits'), { perClass: 1 });
    const rows = files.map((file, i) => `${path.relative(folder, file)},${path.basename(path.dirname(file))},${parts[i % parts.length]}`); // prettier-ignore
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'labels.csv'), `image,label,split\r\n${rows.join('\n')}\n`);
    return path.join(folder, 'labels.csv');
  }

  it.each(['test', 'validation'])('that has only %s measures that, and cannot be trained on', async (part) => {
    const data = manifest(part);
    expect(await callJson('eval', vit, '--data', data)).toMatchObject({ examples: 10 });
    const { code, stderr } = await call(['train', vit, '--data', data, '--out', path.join(folder, 'run'), '--quiet']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^error: There is nothing to train on: all 10 examples/)]);
  });

  it('measures the part that is asked for', async () => {
    const data = manifest('train', 'validation', 'test', 'test', 'test');
    const examples = async (...argv: string[]): Promise<number> =>
      (await callJson<Measured>('eval', vit, '--data', data, ...argv)).examples;
    expect(await examples()).toBe(2);
    expect(await examples('--split', 'test')).toBe(6);
    expect(await examples('--set', 'evalSplit=test')).toBe(6);
    expect(await examples('--split', 'all')).toBe(4);
  });
});
