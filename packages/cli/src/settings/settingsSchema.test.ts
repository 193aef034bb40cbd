/** @file The JSON schema of settings says the same as the command's own checks. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { call, temporaryFolder } from '../../fixtures/call.ts';
import { readSettings } from './readSettings.ts';
import { resolveSettings } from './runConfig.ts';
import { settingInfos } from './settings.ts';
import { keyOf, type SettingName } from './setting.ts';

const names = Object.keys(settingInfos) as SettingName[];

let text = '';
let accepts: (content: unknown) => boolean;
beforeAll(async () => {
  text = (await call(['schema'])).stdout;
  accepts = new Ajv({ strictTypes: false }).compile(JSON.parse(text) as object);
});

async function reads(content: unknown, folder: string): Promise<boolean> {
  const file = path.join(folder, 'run.yaml');
  writeFileSync(file, stringify(content));
  return readSettings({}, file).then(
    () => true,
    () => false,
  );
}

it('has every setting, with words and a default that the schema itself accepts', () => {
  const { properties } = JSON.parse(text) as {
    properties: Record<string, { description: string; default?: unknown }>;
  };
  expect(Object.keys(properties)).toEqual([...names.map(keyOf), 'sweep', 'continual']);
  for (const [key, { description, default: value }] of Object.entries(properties)) {
    expect(description, key).not.toBe('');
    if (value !== undefined) expect(accepts({ [key]: value }), key).toBe(true);
  }
});

it('the defaults are those that a run fills in', () => {
  const resolved = resolveSettings({}, { model: 'm', data: 'd', task: 't', out: 'o' });
  const told = names.filter((name) => name in resolved && settingInfos[name].default !== undefined);
  expect(told.map((name) => [name, settingInfos[name].default])).toEqual(told.map((name) => [name, resolved[name]]));
  expect(told).toEqual(expect.arrayContaining(['r', 'epochs', 'lr', 'schedule', 'warmupSteps', 'seed', 'provider']));
});

const numbers = [0, 1, 3, -1, 0.2, 0.999, 1.5, 1e-9, 2 ** 60];
const words = [
  '',
  'a',
  'auto',
  'off',
  'epoch',
  'none',
  'cuda',
  'adamw',
  'linear',
  'balanced',
  'skip',
  'backoff',
  'fail',
];
const texts = ['query,value', '0-3,7', 'query=4', '20%', '0,2', 'photos/held'];
const lists = [[], [3], ['a'], [''], ['a', 3]];
const tables = [{ a: 3 }, { a: [3] }, { a: 'b' }, { a: true }, { a: { b: 1 } }];
const values = [...numbers, ...words, ...texts, true, false, ...lists, ...tables];

describe('says what the command says of', () => {
  it.each(names.map(keyOf))('%s', async (key) => {
    const folder = temporaryFolder();
    for (const value of values) {
      const content = { [key]: value };
      expect({ value, accepted: accepts(content) }).toEqual({ value, accepted: await reads(content, folder) });
    }
  });

  it('values of any kind', async () => {
    const folder = temporaryFolder();
    // Text that YAML or JavaScript takes for a number is read as one, which is more than the schema promises.
    const word = fc.string().filter((each) => !/\d/.test(each));
    const value = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), word);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.oneof(value, fc.array(value), fc.dictionary(word, value)),
        async (name, given) => {
          expect(accepts({ [keyOf(name)]: given })).toBe(await reads({ [keyOf(name)]: given }, folder));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('keys', async () => {
    const folder = temporaryFolder();
    for (const content of [{}, { r: 2, 'batch-size': 3 }, { batchsize: 3 }, { steps: 1, unknown: 2 }, [], 'text'])
      expect(accepts(content)).toBe(await reads(content, folder));
  });
});

it('knows what a sweep, and tasks in a row, have beside settings', () => {
  expect(
    accepts({ lr: 1, sweep: { methods: { lora: { r: [4, 8] }, ia3: null }, try: { lr: [1e-3] }, seeds: 3 } }),
  ).toBe(true);
  for (const sweep of [[], { search: 'best' }, { minuts: 3 }, { seeds: 0 }, { methods: [] }])
    expect(accepts({ sweep })).toBe(false);
  const tasks = { turned: 'data/turned', inverted: 'data/inverted' };
  expect(accepts({ lr: 1, continual: { tasks, method: 'ewc', lambda: 5 } })).toBe(true);
  for (const continual of [[], { method: 'best' }, { tasks: { turned: 3 } }, { 'replay-examples': 0 }])
    expect(accepts({ continual })).toBe(false);
});

it('holds to one spelling where the command reads several', async () => {
  const folder = temporaryFolder();
  for (const content of [
    { batch_size: 2 },
    { batchSize: 2 },
    { loraAlpha: null },
    { memory: '512' },
    { 'eval-every': '3' },
  ]) {
    expect(await reads(content, folder)).toBe(true);
    expect(accepts(content)).toBe(false);
  }
});
