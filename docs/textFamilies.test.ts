/** @file The page of the text families is what the families say. `npx vitest run docs/textFamilies.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { textFamilies } from '@onnx-lora/text';
import { expect, test } from 'vitest';
import { familyPage } from './familyPage.ts';

const file = fileURLToPath(new URL('guides/text-families.md', import.meta.url));

test('the page is up to date', async () => {
  const page = await familyPage(file, {
    title: 'Text families',
    group: 'Text',
    order: 550,
    families: textFamilies,
    preprocessor: 'tokenizer',
    stranger: 'a language model of your own',
    text: `A lone .onnx file is recognised by the names of its modules; families that took over LLaMA's names are then taken for LLaMA, whose targets they share. Keep \`config.json\` beside it all the same: it also says which positions and which ends of an answer the model knows.

A folder as optimum writes it, whose \`model.onnx\` asks for the keys and values of earlier positions (\`past_key_values\`), opens as a model that begins without any: it asks for the text alone and yields the logits alone, which is what training needs. \`model.part('model')\` is the file as it is, and writes token by token; it takes the same adapters, and \`merge\` into a folder writes it. A \`decoder_model.onnx\` with its \`decoder_with_past_model.onnx\` or \`decoder_model_merged.onnx\` does the same.

Queries, keys and values that are one layer in the file (\`qkv_proj\` of onnxruntime-genai) are adapted one by one under the names of the model that has three ([how](../concepts/match.md#ideas)). The experts of Mixtral and Qwen-MoE are layers of their own in transformers 4, and two tensors for all in transformers 5, which an adapter reaches as PEFT does, with \`targetParameters: ['experts.gate_up_proj', 'experts.down_proj']\`. Export such a model with \`experts_implementation='batched_mm'\`.

`,
  });
  await expect(page).toMatchFileSnapshot(file);
});
