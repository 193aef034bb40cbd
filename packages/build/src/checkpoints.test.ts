/** @file Built graphs against torch, in every case of a checkpoint. */

import { expect, test } from 'vitest';
import { conformance } from '@onnx-lora/sdk/testing';
import { checkpointFolders } from '../../../test/support/caseFolders.ts';
import { buildPlugin } from './plugin.ts';

test.each(checkpointFolders())('%s gives what torch gives, or is refused', async (folder) => {
  const { checks, passed } = await conformance(folder, { plugins: [buildPlugin] });
  const wrong = checks.filter(({ status }) => status === 'failed').map(({ check, detail }) => `${check}: ${detail}`);
  expect(wrong).toEqual([]);
  expect(passed).toBeGreaterThan(0);
});
