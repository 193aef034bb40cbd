/** @file Every flag that changes a run is in its config.yaml, and is read back from there as it was. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../fixtures/call.ts';
import { trainCommand } from '../commands/train.ts';
import type { Context } from '../context.ts';
import { RunHistory } from '../run/history.ts';
import { readSettings } from './readSettings.ts';
import { formatCommand, formatConfig } from './runConfig.ts';
import { settingInfos } from './settings.ts';
import type { SettingName, Settings } from './setting.ts';
import { decimals, short } from '../terminal/table.ts';

/** Flags that say how the command talks, or which run it is, and nothing about its numbers. */
const aside = ['config', 'resume', 'overwrite', 'json', 'quiet', 'debug', 'on', 'attach', 'sharedFolder', 'workers'];

/** A value for each setting, as flags give them. */
function samples(): Settings {
  const words: Partial<Record<SettingName, unknown>> = {
    validation: 0.2,
    set: { augment: 'standard', many: ['a', 'b'], number: 3 },
    layersToTransform: '0-3,7',
    rankPattern: { query: 4 },
    alphaPattern: { query: 8 },
    trainableTokenIndices: { wte: [5, 7] },
    bias: 'all',
    sampling: 'balanced',
    optimizer: 'sgd',
    schedule: 'cosine',
    ema: 0.9,
    loraDropout: 0.1,
    loraDropoutPattern: 'row',
    eval: false,
    evalEvery: 'epoch',
    onBadLoss: 'skip',
    onBadSample: 'skip',
    memory: 100,
    cachePrefix: 'off',
    precision: 'int8',
    provider: 'cpu',
  };
  return Object.fromEntries(
    Object.entries(settingInfos).map(([name, { kind, form }]) => [
      name,
      words[name as SettingName] ??
        (form === 'pairs'
          ? {}
          : { text: 'word', choice: 'word', other: 'word', number: 3, texts: ['a', 'b'], flag: true }[kind]),
    ]),
  ) as Settings;
}

it('each flag of train is a setting, or changes no number', () => {
  const flags = trainCommand({} as Context).options.map((option) => option.attributeName());
  const settings = Object.keys(settingInfos);
  expect(flags.filter((name) => !settings.includes(name)).sort()).toEqual([...aside].sort());
});

it('each setting is read back as it was written', async () => {
  const file = path.join(temporaryFolder(), 'config.yaml');
  const settings = samples();
  writeFileSync(file, formatConfig(settings));
  expect(await readSettings({}, file)).toEqual(settings);
});

it('the command of a run is one that train takes, and means the same', async () => {
  // Plugins are named before the command, and train has no flag for an adapter.
  const { steps: _s, plugins: _p, adapter: _a, ...own } = samples();
  const words = formatCommand(own)
    .match(/'[^']*'|\S+/g)!
    .map((word) => word.replaceAll("'", ''))
    .slice(2);
  const command = trainCommand({} as Context).exitOverride();
  command.action(() => undefined);
  await command.parseAsync(words, { from: 'user' });
  const read = await readSettings(command.opts(), undefined);
  expect(read).toMatchObject({ eval: false, tensorboard: true, lr: 3, track: ['a', 'b'], ema: 0.9 });
});

it('intervals that were measured before an interruption are kept', () => {
  const history = new RunHistory();
  history.add({
    type: 'evaluation',
    step: 0,
    examples: 9,
    metrics: { accuracy: 0.5 },
    intervals: { accuracy: [0.4, 0.6] },
  });
  expect(history.evaluations[0]!.intervals).toEqual({ accuracy: [0.4, 0.6] });
});

it('numbers of any size are written in a few digits', () => {
  expect([389065281864990720, 2.30258, 0, 1.2e-7, 12345.678].map(decimals)).toEqual(['3.891e+17', '2.3026', '0.0000', '1.200e-7', '12345.6780']); // prettier-ignore
  expect([389065281864990720, 1500, 0.87341].map(short)).toEqual(['3.9e+17', '1500', '0.8734']);
});
