/** @file Tests that the plugin is complete in itself. */

import { loadPlugins } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { sciencePlugin } from './plugin.ts';

it('sciencePlugin brings families, what they are trained for, and no preprocessor that makes a tensor of a file', () => {
  const { families, tasks, preprocessors } = loadPlugins([sciencePlugin]);
  const names = families.map(({ name, domain }) => `${domain}/${name}`);
  expect(names).toEqual(expect.arrayContaining(['science/esm', 'science/t5', 'science/bert', 'science/roberta']));
  expect(new Set(families.flatMap((family) => family.tasks))).toEqual(new Set(tasks.map(({ name }) => name)));
  expect(preprocessors).toEqual([]);
});
