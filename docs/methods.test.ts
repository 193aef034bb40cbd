/** @file Every tuner says all that its row of the page tells. */

import { tuners } from '@onnx-lora/methods';
import { expect, test } from 'vitest';

test.each(tuners)('$name says all that its row tells', ({ description, paper = '' }) => {
  expect(description).toMatch(/^.+: .+/);
  expect(paper).toMatch(/^https:/);
});
