/** @file Tests of the settings that a task has of its own. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { settingsOf, type TaskFactory } from '@onnx-lora/sdk/plugin';
import { describe, expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';
import { readSettings } from './readSettings.ts';
import { taskSettings } from './readSettings.ts';

interface Options {
  readonly augment?: string;
  readonly smoothing?: number;
  readonly calibrate?: boolean;
  readonly labels?: readonly string[];
}

const factory: TaskFactory = {
  name: 'guess',
  description: 'Guesses.',
  settings: settingsOf<Options>({
    augment: { kind: 'text', description: '' },
    smoothing: { kind: 'number', description: '' },
    calibrate: { kind: 'flag', description: '' },
    labels: { kind: 'texts', description: '' },
  }),
  create: () => Promise.reject(new Error('unused')) as never,
  predictor: () => Promise.reject(new Error('unused')),
};

describe('settings of a task', () => {
  it('become values of their kinds', () => {
    const given = { augment: 'strong', smoothing: '0.1', calibrate: 'true', labels: 'a, b' };
    const values = { augment: 'strong', smoothing: 0.1, calibrate: true, labels: ['a', 'b'] };
    expect(taskSettings(given, factory)).toEqual(values);
    // As a file of settings has them.
    expect(taskSettings(values, factory)).toEqual(values);
    expect(taskSettings({ augment: 3 }, factory)).toEqual({ augment: '3' });
  });

  it.each([
    [{ augmnet: 'x' }, 'The task "guess" has no setting "augmnet". Did you mean "augment"? It has augment, smoothing,'],
    [{ smoothing: 'much' }, '--set smoothing must be a number, but it is "much".'],
    [{ smoothing: '' }, '--set smoothing must be a number'],
    [{ calibrate: 'yes' }, '--set calibrate must be true or false'],
    [{ labels: true }, '--set labels must be a list of names'],
    [{ augment: true }, '--set augment must be text'],
  ])('%j is refused', (given, message) => {
    expect(() => taskSettings(given, factory)).toThrow(message);
  });
});

it('of a file are named as the file has them', async () => {
  const file = path.join(temporaryFolder(), 'run.yaml');
  writeFileSync(file, 'set: { smoothing: much, augmnet: x }\n');
  const { set: both } = await readSettings({ set: ['smoothing=0.1'] }, file);
  expect(() => taskSettings(both!, factory)).toThrow(
    `The task "guess" has no setting "augmnet", which is set in "${file}". Did you mean "augment"?`,
  );
  const { set } = await readSettings({}, file);
  expect(() => taskSettings(set!, factory)).toThrow(
    `"set.smoothing" in "${file}" must be a number, but it is "much". Correct it there.`,
  );
  const flag = await readSettings({ set: ['smoothing=little'] }, file);
  expect(() => taskSettings(flag.set!, factory)).toThrow('--set smoothing must be a number, but it is "little".');
});

describe('onnx-lora tasks', () => {
  it('lists tasks, and the settings of one', async () => {
    const all = await callJson<{ name: string; description: string }[]>('tasks');
    expect(all.map(({ name }) => name)).toContain('image-classification');
    expect((await call(['tasks'])).stdout).toContain('image-classification');
    const { code, stderr } = await call(['tasks', 'image-clasification']);
    expect(code).toBe(2);
    expect(stderr).toContain('Did you mean "image-classification"');
  });
});
