/** @file Tests of settings from flags and YAML. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../fixtures/call.ts';
import { readSettings } from './readSettings.ts';
import { formatCommand, formatConfig } from './runConfig.ts';
import { settingInfos } from './settings.ts';
import { keyOf, type SettingName, type Settings } from './setting.ts';

function yaml(text: string): string {
  const file = path.join(temporaryFolder(), 'run.yaml');
  writeFileSync(file, text);
  return file;
}

describe('a YAML file', () => {
  it('in another encoding than UTF-8 is refused with the line', async () => {
    const file = yaml('');
    writeFileSync(file, 'model: m\ndata: grün\n', 'latin1');
    await expect(readSettings({}, file)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/run\.yaml, line 2: the text is not UTF-8: .*"grün"/),
    });
  });

  it('is overridden by flags', async () => {
    const file = yaml('model: m\nr: 4\nbatch-size: 16\ntargets: [query, value]\ndora: true\n');
    expect(await readSettings({ r: '8', seed: undefined, json: true }, file)).toEqual({
      model: 'm',
      r: 8,
      batchSize: 16,
      targets: ['query', 'value'],
      dora: true,
    });
  });

  it('gives way to --epochs also where it counts in steps', async () => {
    expect(await readSettings({ epochs: '2' }, yaml('steps: 9\nr: 2\n'))).toEqual({ epochs: 2, r: 2 });
  });

  it('has settings of the task, which flags override one by one', async () => {
    const file = yaml('set:\n  augment: standard\n  topK: 3\n  labels: [a, b]\n');
    const settings = await readSettings({ set: ['augment=strong', 'calibrate', 'template=a=b'] }, file);
    expect(settings).toEqual({
      set: { augment: 'strong', topK: 3, labels: ['a', 'b'], calibrate: true, template: 'a=b' },
    });
    expect(formatCommand(settings)).toBe(
      'onnx-lora train --set augment=strong --set topK=3 --set labels=a,b --set calibrate=true --set template=a=b',
    );
    expect(await readSettings({}, yaml(formatConfig(settings)))).toEqual(settings);
  });

  it('may spell keys as other programs do, and leave values empty', async () => {
    expect(await readSettings({}, yaml('batch_size: 2\nwarmupSteps: 3\nloraAlpha:\n'))).toEqual({
      batchSize: 2,
      warmupSteps: 3,
    });
    expect(await readSettings({}, yaml('# nothing\n'))).toEqual({});
  });

  it('says what a key of other tools is called here', async () => {
    await expect(readSettings({}, yaml('learning_rate: 1e-3\n'))).rejects.toThrow(
      'has the unknown key "learning_rate". Here it is "lr". Keys are',
    );
  });

  it.each([
    ['an unknown key', 'batchsize: 2\n'],
    ['a key twice', 'batch-size: 2\nbatch_size: 3\n'],
    ['the same key twice', 'r: 2\nr: 3\n'],
    ['the same inner key twice', 'set: { a: 1, a: 2 }\n'],
    ['too many keys', Array.from({ length: 60_000 }, (_, i) => `k${i}: 1\n`).join('')],
    ['a wrong type', 'steps: many\n'],
    ['a fraction', 'r: 1.5\n'],
    ['a list', '- 1\n- 2\n'],
    ['no YAML', 'model: "unclosed\n'],
    ['a prototype key', '__proto__: { r: 2 }\n'],
    [
      'unfolding aliases',
      `a: &a [1]\nb: &b [${Array(30).fill('*a').join(',')}]\nc: [${Array(30).fill('*b').join(',')}]\n`,
    ],
  ])('with %s is refused', async (_, text) => {
    const file = yaml(text);
    const message = await readSettings({}, file).then(
      () => '',
      (error: Error) => error.message,
    );
    // Options that are added later change no test.
    const short = message.replace(/(?<=Keys are model, fix, ).*(?=\.$)/, '…');
    expect(short.replaceAll(file, 'run.yaml')).toMatchSnapshot();
  });

  it.each([
    [
      'set: {labelSmoothing: [1]}\n',
      '"set.labelSmoothing" in "FILE" must be text, a number, true or false, or a list of texts, but it is [1].',
    ],
    ['set: much\n', '"set" in "FILE" must be names and values, such as augment: standard, but it is "much".'],
  ])('%j is refused by its key', async (text, message) => {
    const file = yaml(text);
    await expect(readSettings({}, file)).rejects.toThrow(message.replace('FILE', file));
  });

  it('that is not there is refused', async () => {
    await expect(readSettings({}, 'missing.yaml')).rejects.toThrow(
      'There is no config file "missing.yaml". Check the path.',
    );
  });
});

const word = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => text.trim() !== '');
const settings = fc.record<Settings>(
  {
    model: word,
    data: word,
    validation: fc.oneof(
      fc.double({ min: 0, minExcluded: true, max: 1, maxExcluded: true, noNaN: true }),
      word.filter((text) => !/\d/.test(text) && Number.isNaN(Number(text))),
    ),
    targets: fc.oneof(word, fc.array(word, { minLength: 1 })),
    r: fc.integer({ min: 1, max: 512 }),
    lr: fc.double({ min: 1e-9, max: 10, noNaN: true }),
    dora: fc.boolean(),
    seed: fc.nat(),
    out: word,
  },
  { requiredKeys: [] },
);

describe('a written config.yaml', () => {
  it('reads back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(settings, async (given) => {
        const file = path.join(temporaryFolderOnce(), 'config.yaml');
        writeFileSync(file, formatConfig(given));
        expect(await readSettings({}, file)).toEqual(given);
      }),
      { numRuns: 100 },
    );
  });

  let folder: string | undefined;
  const temporaryFolderOnce = (): string => (folder ??= temporaryFolder());
});

describe('--validation', () => {
  it.each([
    ['0.2', 0.2],
    ['.5', 0.5],
    ['2e-1', 0.2],
    ['held', 'held'],
    ['./2', './2'],
    ['../held', '../held'],
    ['2024-05', '2024-05'],
  ])('%s is a fraction or a folder', async (given, read) => {
    expect(await readSettings({ validation: given }, undefined)).toEqual({ validation: read });
    expect(await readSettings({}, yaml(`validation: ${JSON.stringify(given)}\n`))).toEqual({ validation: read });
  });

  it.each(['', '1', '-0.2', '1.5', '20%', '0,2', '1.2.3'])('%j is neither', async (given) => {
    await expect(readSettings({ validation: given }, undefined)).rejects.toThrow(
      `--validation must be a folder, or a fraction between 0 and 1 such as 0.2, but it is ${JSON.stringify(given)}.`,
    );
  });
});

it('every flag is a key, and no two read alike', () => {
  const keys = (Object.keys(settingInfos) as SettingName[]).map(keyOf);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys).toContain('batch-size');
});

it('the command to repeat a run is quoted for a shell', () => {
  expect(formatCommand({ model: "it's", targets: ['a', 'b'], dora: true, rslora: false, out: 'runs/$HOME' })).toBe(
    String.raw`onnx-lora train --model 'it'\''s' --targets a,b --dora --out 'runs/$HOME'`,
  );
});
