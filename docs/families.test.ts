/** @file Every family says all that its page tells. */

import { diffusionFamilies } from '@onnx-lora/diffusion';
import { scienceFamilies } from '@onnx-lora/science';
import { speechFamilies } from '@onnx-lora/speech';
import { textFamilies } from '@onnx-lora/text';
import { visionFamilies } from '@onnx-lora/vision';
import { expect, test } from 'vitest';

test.each([...visionFamilies, ...diffusionFamilies, ...speechFamilies, ...scienceFamilies, ...textFamilies])(
  '$name says all that its page tells',
  (family) => {
    const { name, title, paper = '', targetsFrom = '' } = family;
    expect(title).not.toBe(name);
    expect(paper).toMatch(/\w/);
    expect(targetsFrom).toMatch(/\w/);
  },
);
