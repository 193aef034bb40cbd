/** @file Built graphs against torch, in every case of a checkpoint, in both forms. */

import { describe, expect, test } from 'vitest';
import { buildPlugin, buildPluginWith } from '@onnx-lora/build';
import { conformance } from '@onnx-lora/testing';
import { speechPlugin } from '@onnx-lora/speech';
import { visionPlugin } from '@onnx-lora/vision';
import { checkpointFolders } from './support/caseFolders.ts';

// If heads share keys, the decoder's kernel takes several tokens behind a cache for a single text only, and says so. Only
// these are compared with torch text by text, in layers/fusedDecoder.test.ts.
const byText = /[/\\](?:gemma|gemma2|qwen3|llama-v5config)$/;
const limit = /chunk.*batch_size must be 1 when sequence_length > 1 and past context is given/;
const forms = [
  ['plain', buildPlugin],
  ['fused', buildPluginWith([], { form: 'fused' })],
] as const;

describe.each(forms)('in its %s form', (form, plugin) => {
  test.each(checkpointFolders())('%s gives what torch gives, or is refused', async (folder) => {
    const { checks, passed } = await conformance(folder, {
      plugins: [visionPlugin, speechPlugin, plugin],
      ...(form === 'fused' ? { checks: ['build'] } : {}),
    });
    const isByText = form === 'fused' && byText.test(folder);
    const wrong = checks
      .filter(({ status, detail }) => status === 'failed' && !(isByText && limit.test(detail)))
      .map(({ check, detail }) => `${check}: ${detail}`);
    expect(wrong).toEqual([]);
    expect(passed > 0).toBe(!isByText);
  });
});
