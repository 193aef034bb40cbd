/** @file The page of the science families is what the families say. `npx vitest run docs/scienceFamilies.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { scienceFamilies } from '@onnx-lora/science';
import { expect, test } from 'vitest';
import { familyPage } from './familyPage.ts';

const file = fileURLToPath(new URL('guides/science-families.md', import.meta.url));

test('the page is up to date', async () => {
  const page = await familyPage(file, {
    title: 'Science families',
    group: 'Science',
    order: 500,
    families: scienceFamilies,
    preprocessor: 'tokenizer',
    stranger: 'an encoder of your own',
    text: `Which sequences a model reads, proteins, DNA, RNA or molecules, is not told by its family: ChemBERTa and models of antibodies are both RoBERTa, ESM-2 and the Nucleotide Transformers both ESM. BERT, RoBERTa and ESM name their modules alike: keep \`config.json\` beside a model that was exported without its head.

ESMFold, whose \`config.json\` says \`esm\` and \`is_folding_model\`, and the Evoformer are here at the level of their graphs: adapters in the attention over pairs of residues are placed, trained and merged as PEFT does it, but data and loss are yours. Of ESMFold export a graph with torch's newer exporter (\`dynamo=True\`); the older one writes negative axes that ONNX does not have.

`,
  });
  await expect(page).toMatchFileSnapshot(file);
});
