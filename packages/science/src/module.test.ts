/** @file Tests that the module resolves in a container. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY, TASK_FACTORY } from '@onnx-lora/sdk';
import { Container } from 'inversify';
import { expect, it } from 'vitest';
import { scienceModule } from './module.ts';

it('scienceModule brings families, what they are trained for, and no preprocessor that makes a tensor of a file', async () => {
  const container = new Container();
  container.load(scienceModule);
  const families = container.getAll(MODEL_FAMILY);
  const names = families.map(({ name, domain }) => `${domain}/${name}`);
  expect(names).toEqual(expect.arrayContaining(['science/esm', 'science/t5', 'science/bert', 'science/roberta']));
  const tasks = new Set(container.getAll(TASK_FACTORY).map(({ name }) => name));
  expect(new Set(families.flatMap((family) => family.tasks))).toEqual(tasks);
  expect(container.isBound(PREPROCESSOR_FACTORY)).toBe(false);
});
