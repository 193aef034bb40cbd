/** @file Tests that the plugin is complete in itself. */

import { loadPlugins } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { sciencePlugin } from './plugin.ts';

it('sciencePlugin brings families, what they are trained for, and no preprocessor that makes a tensor of a file', () => {
  const { families, tasks, preprocessors } = loadPlugins([sciencePlugin]);
  const names = families.map(({ name, domain }) => `${domain}/${name}`);
  expect(names).toEqual(
    expect.arrayContaining(['science/esm', 'science/molformer', 'text/t5', 'text/bert', 'text/roberta']),
  );
  // Encoders are of texts, too.
  const own = families.filter(({ domain }) => domain === 'science');
  expect(new Set(own.flatMap((family) => family.tasks))).toEqual(new Set(tasks.map(({ name }) => name)));
  expect(preprocessors).toEqual([]);
});
