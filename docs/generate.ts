/** @file Writes the pages and the JSON schema that are made from the code: `npm run generate`, by `generate.mjs`. */

import { readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { architectures } from '@onnx-lora/build';
import { diffusionFamilies } from '@onnx-lora/diffusion';
import { scienceFamilies } from '@onnx-lora/science';
import { speechFamilies } from '@onnx-lora/speech';
import { textFamilies } from '@onnx-lora/text';
import { visionFamilies } from '@onnx-lora/vision';
import { format, resolveConfig } from 'prettier';
import { settingsSchema } from '../packages/cli/src/settings/settingsSchema.ts';
import { commandPage, context, program } from './commandPage.ts';
import { familyPage } from './familyPage.ts';
import { root } from './fences/fences.ts';
import { familyTable } from './familyTable.ts';
import { methodPage } from './methodPage.ts';
import { operatorPage } from './operatorPage.ts';
import { settingsPage } from './settingsPage.ts';

/** The text of each file, by its path from `docs`. */
const pages: Readonly<Record<string, () => string | Promise<string>>> = {
  'reference/command-line.md': async () => commandPage(await program()),
  'reference/settings.md': async () => {
    // The config file of a server has its own settings, which its guide lists.
    const takers = (await program()).commands.filter((each) => each.name() !== 'serve' && each.options.some(({ long }) => long === '--config')); // prettier-ignore
    return settingsPage(takers.map((command) => command.name()));
  },
  '../packages/cli/schema/onnx-lora.schema.json': async () =>
    JSON.stringify(settingsSchema((await context()).registry), null, 2),
  'reference/families.md': familyTable,
  'reference/operators.md': operatorPage,
  'reference/architectures.md': architecturePage,
  'guides/methods.md': methodPage,
  'guides/vision-families.md': () =>
    familyPage({
      title: 'Vision families',
      group: 'Vision',
      order: 280,
      families: visionFamilies,
      preprocessor: 'image processor',
      stranger: 'a ViT of your own',
    }),
  'guides/diffusion-families.md': () =>
    familyPage({
      title: 'Diffusion families',
      group: 'Pictures from text',
      order: 286,
      families: diffusionFamilies,
      preprocessor: 'image processor',
      stranger: 'a UNet of your own',
      text: 'The graph of a denoiser opens by itself, for adapters of its own. The folder of a pipeline of Stable Diffusion opens as its text encoder and UNet in one, which is what training needs. Stable Diffusion 3, Flux, PixArt and DALL·E 2 are here at the level of their graphs: adapters are placed, trained and merged as PEFT does it, but there is no pipeline, and data and loss are yours.\n\n',
    }),
  'guides/speech-families.md': () =>
    familyPage({
      title: 'Speech families',
      group: 'Speech',
      order: 390,
      families: speechFamilies,
      preprocessor: 'feature extractor',
      stranger: 'an encoder of your own',
      text: 'Whisper and Moonshine are published as an encoder and one or more decoders; a folder with these files is opened as one model, and needs no other.\n\n',
    }),
  'guides/science-families.md': () =>
    familyPage({
      title: 'Science families',
      group: 'Science',
      order: 500,
      families: scienceFamilies,
      preprocessor: 'tokenizer',
      stranger: 'an encoder of your own',
      text: `A family does not tell whether a model reads proteins, DNA, RNA or molecules: ChemBERTa and models of antibodies are both RoBERTa, ESM-2 and the Nucleotide Transformers both ESM. BERT, RoBERTa and ESM name their modules alike: keep \`config.json\` beside a model that was exported without its head.

ESMFold, whose \`config.json\` says \`esm\` and \`is_folding_model\`, and the Evoformer are here at the level of their graphs: adapters in the attention over pairs of residues are placed, trained and merged as PEFT does it, but data and loss are yours. Export ESMFold's graph with torch's newer exporter (\`dynamo=True\`); the older one writes negative axes that ONNX does not have.

`,
    }),
  'guides/text-families.md': () =>
    familyPage({
      title: 'Text families',
      group: 'Text',
      order: 550,
      families: textFamilies,
      preprocessor: 'tokenizer',
      stranger: 'a language model of your own',
      text: `A single .onnx file is recognised by the names of its modules; families that took over LLaMA's names are then taken for LLaMA, whose targets they share. Keep \`config.json\` beside it all the same: it also says which positions and which ends of an answer the model knows.

A folder as optimum writes it, whose \`model.onnx\` asks for the keys and values of earlier positions (\`past_key_values\`), opens as a model that begins without any: it asks for the text alone and yields the logits alone, which is what training needs. \`model.part('model')\` is the file as it is, and writes token by token; it takes the same adapters, and \`merge\` into a folder writes it. A \`decoder_model.onnx\` with its \`decoder_with_past_model.onnx\` or \`decoder_model_merged.onnx\` does the same.

Queries, keys and values that are one layer in the file (\`qkv_proj\` of onnxruntime-genai) are adapted one by one under the names of the model that has three ([how](../concepts/match.md#ideas)). The experts of Mixtral and Qwen-MoE are layers of their own in transformers 4, and two tensors for all in transformers 5, which an adapter reaches as PEFT does, with \`targetParameters: ['experts.gate_up_proj', 'experts.down_proj']\`. Export such a model with \`experts_implementation='batched_mm'\`.

`,
    }),
};

function architecturePage(): string {
  const rows = architectures
    .map(
      ({ modelType, classes }) =>
        `| \`${modelType}\` | ${Object.keys(classes)
          .map((name) => `\`${name}\``)
          .join(', ')} |`,
    ) // prettier-ignore
    .sort();
  return `---
title: Architectures
order: 45
---

# Architectures

Architectures that are [built from a checkpoint](../guides/build.md), by \`model_type\` of \`config.json\`, and the classes that its \`architectures\` may name. Where it names none, the first of a row is built.

| \`model_type\` | classes |
| --- | --- |
${rows.join('\n')}
`;
}

for (const [path, pageOf] of Object.entries(pages)) {
  const file = fileURLToPath(new URL(path, import.meta.url));
  const page = await format(await pageOf(), { ...(await resolveConfig(file)), filepath: file });
  if (page === readFileSync(file, 'utf8')) continue;
  writeFileSync(file, page);
  console.log(relative(root, file));
}
