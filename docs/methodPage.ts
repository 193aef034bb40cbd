/** @file The page of the methods, made from the tuners themselves. */

import { readFileSync } from 'node:fs';
import { tuners } from '@onnx-lora/methods';
import type { TargetLayer, Tuner, AdapterLayer } from '@onnx-lora/sdk/plugin';

const costs = JSON.parse(readFileSync(new URL('methodCosts.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, number>
>;

/** The page in Markdown. */
export function methodPage(): string {
  return `---
title: Methods beside LoRA
order: 633
group: Tools and extensions
---

# Methods beside LoRA

\`@onnx-lora/methods\` is for those who want another way to adapt a model than LoRA; after this page you can choose one and its settings. It is an ordinary plugin, which the command line includes: \`--tuner loha\`, or with settings \`--tuner '{"name":"loha","r":4}'\`. Settings have PEFT's names and defaults. Adapters are read and written as PEFT's files; tests compare outputs, loss, gradients, training steps and merged weights of each with PEFT (except gradients of C3A, where PEFT deviates from its own formula), and methods that PEFT lacks with their papers' formulas.

Which one to take is a question to [measure](./sweep.md). Plain LoRA, with its targets, rank and rate [chosen well](./targets-rank-and-rate.md), is hard to beat, and serves every row of a batch with its own adapter in one run; those below need a run per adapter of a batch. Most need their own learning rate.

| \`--tuner\` | \`peft_type\` | what is trained | layers | merges | taken out again | blends | as LoRA | step |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${tuners.map(row).join('\n')}

- merges: [a plain model](./merge.md) can be written that computes the same. Taken out again: \`unmerge\` gives the base back.
- blends: several adapters can be [mixed by weights](./combine.md) in a session; others can only be weakened (\`{ a: 0.5 }\`).
- step: processor time of a step of training, as a multiple of LoRA's of rank 8; queries and values of a ViT-S/16 with the tuner's defaults, two images, one thread (\`npm run bench -- --methods FILE\`). It is above 1.3 where the change is no product of two small factors, so that its gradient has the weight's size (FourierFT, WaveFT, SHiRA, FRoD, HRA, PEANuT); where the defaults have ranks in the hundreds or full rank (VeRA, PVeRA, RandLoRA), or train as many numbers as the weight has (OSF); and where the base is computed twice (X-LoRA).
- as LoRA: [\`convertToLora\`](./tuners.md#run-and-merge) makes plain LoRA of it, for programs that know no other: exactly, or by the largest singular values (nearly). Methods marked LoRA differ in training alone: their adapters are served, merged and combined as LoRA, also without the plugin.
- Random matrices that layers share (VeRA, PVeRA, RandLoRA) are in the file unless \`save_projection\` is false, and are drawn again from their key then. RandLoRA's are in it once for each layer, as PEFT writes them: of all linear layers of a ViT-B with the default rank that is some 700 MB, without them 6 MB.

## Beside PEFT

PEFT lacks SoRA, DyLoRA, ReLoRA, COLA, PeriodicLoRA, AFLoRA, ALoRA, MoRA and MixLoRA; their files are in its layout, with names of our own (MoRA's are those of its authors' fork of PEFT), and tests compare them with their authors' formulas in torch. All but the last two become plain LoRA exactly, by \`convertToLora\` or \`onnx-lora convert ADAPTER OUT --plain-from MODEL\`: SoRA and ALoRA of as many ranks as gates are open, DyLoRA of the rank that \`dyloraAtRank(adapter, rank)\` cuts it to, ReLoRA, COLA and PeriodicLoRA of the rank times one more than they have restarted.

- ReLoRA, COLA and PeriodicLoRA add the change to what is fixed after each \`restart_every\` steps, up to \`restarts\` times. ReLoRA then begins a new LoRA and keeps the largest tenth of the optimizer's moments (\`prune_ratio\`); COLA begins one with an optimizer that knows nothing yet; PeriodicLoRA adds a part of the change (\`momentum_ratio\`) and trains the rest on. ReLoRA and COLA want their own schedule, \`schedule: { name: 'jagged_cosine', every }\` with \`every\` as \`restart_every\`; PeriodicLoRA a constant rate.
- AFLoRA needs \`total_step\`, the steps of the run; which matrix is frozen when is by the paper, as its authors have published no code.
- ALoRA (\`--tuner allocating-lora\`; what PEFT calls aLoRA is another method) needs examples that are held out. After each \`review_every\` steps, \`reviews\` times, it computes the loss of a batch of them without each direction and with it alone, and moves the \`moved\` that matter least. A review takes as long as twice as many steps as there are directions.
- MixLoRA needs the names of the layers of a feed-forward block, the one that yields what the block does last: \`"feedforward_modules":["up_proj","gate_proj","down_proj"]\`. Without, each layer is a block. Layers between them are computed \`top_k\` times; layers outside of blocks get LoRA.

## Optimizers

The plugin has ways to move LoRA's numbers too, by the names that \`optimizer\` and \`--optimizer\` take, alone or with settings: \`--optimizer '{"name":"riemannian","reg":0.001}'\`. They save ordinary adapters, and runs resume from checkpoints to the same bytes.

| \`--optimizer\` | what it does | settings | held to |
| --- | --- | --- | --- |
| \`lorafa\` | [LoRA-FA](https://arxiv.org/abs/2308.03303): leaves A as it was drawn, trains B with a gradient that is corrected for it, and keeps no gradient and less of the forward pass for A. Plain LoRA on linear layers; DoRA, biases of B, convolutions and embeddings are refused | \`betas\`, \`eps\` (1e-6), \`weightDecay\` (0), \`delta\` (1e-8) | PEFT's \`create_lorafa_optimizer\`, in float32 |
| \`muon\` | [Muon](https://kellerjordan.github.io/posts/muon): steps of matrices are orthogonal, by iterations that take some 50 times as long as AdamW's step does at a rank of 16; vectors move as with AdamW | \`momentum\` (0.95), \`nesterov\`, \`weightDecay\` (0.1), \`adjustLr\` (\`original\`, or \`match_rms_adamw\` to keep AdamW's rates), \`nsSteps\` (5), \`betas\`, \`eps\` | \`torch.optim.Muon\`, in float32 |
| \`riemannian\` | [Riemannian preconditioning](https://arxiv.org/abs/2402.02347): multiplies gradients of A and B by inverses of the rank's size, then another optimizer moves them. Factors of convolutions and embeddings have their gradients as they are | \`inner\` (\`adamw\`), \`reg\` (0.01), and those of the inner one | PEFT's \`create_riemannian_optimizer\` |
| \`schedule-free-adamw\` | [Schedule-free AdamW](https://arxiv.org/abs/2405.15682): saves an average of all steps in place of a falling rate; set \`schedule: constant\` | \`betas\`, \`eps\`, \`weightDecay\` (0), \`r\` (0), \`weightLrPower\` (2) | the authors' schedulefree 1.4.1 |

## Layers by a short run

LoRA-drop finds by a short run which layers matter, by the size of their changes on the task's inputs, and gives the others no adapter. (In the [paper](https://arxiv.org/abs/2402.07721) those share one.)

\`\`\`ts
import { loraDrop } from '@onnx-lora/methods';
import { openModel, train } from '@onnx-lora/sdk';
import { imageClassification, visionFamilies } from '@onnx-lora/vision';

const task = imageClassification('photos');
const model = await openModel('models/vit', { families: visionFamilies });
const lora = { r: 8, targetModules: 'all-linear' };
const { adapter } = await (await train(model, { task, lora, steps: 50 })).done;
const run = await train(model, { task, lora: { ...lora, initLoraWeights: loraDrop(adapter, { share: 0.9 }) } });
console.log((await run.done).adapter.config.targetModules);
\`\`\`

## Without a plugin

LoRA+ needs no plugin: \`loraPlusRatio\` and \`--lora-plus-ratio\` ([train](./train.md)). Nor does dropout of whole features or tokens, \`loraDropoutPattern\`.

- Some depend on more than the layer: Lily averages its router over all rows of a batch. It is trained so, as PEFT trains it; elsewhere each row is computed by itself, so that no answer depends on other rows. Poly is read as what one task has of it (\`"task": 1\` in its config, or \`forTask\`); converted to LoRA, several tasks go into one batch. TinyLoRA's vectors are numbered by the order of layers, which in PEFT is that of the model's class and here that of the graph: of PEFT's files the projections tell it.
- QA-LoRA's change fits into the zero points of a weight in 4 bits where these are fractions. ONNX Runtime's product with fractions takes 1.2 times as long for 197 rows of 1024 features, and 50 times or more for one, so merging keeps the zero points and [computes the change beside](./merge.md): as exactly, for two small products more.

LN tuning (\`--tuner ln_tuning\`: weights and biases of normalisations, trained whole) is a tuner of the SDK itself, and PEFT's type for trained rows of embeddings alone (\`TRAINABLE_TOKENS\`) is read as what [\`trainableTokenIndices\`](./train.md) trains.

This page is made from the tuners themselves. [Another one](./tuners.md) is a file.
`;
}

function row(tuner: Tuner): string {
  const { name, peftType, description, kinds = ['linear'], paper, variant } = tuner;
  const math = tuner.tune(example(kinds[0]!), tuner.defaults, [example(kinds[0]!)]);
  const what = description.slice(description.indexOf(': ') + 2);
  const title = description.slice(0, description.indexOf(': '));
  const isLora = variant !== undefined && ofTraining.has(variant);
  const yes = (is: boolean): string => (is ? 'yes' : 'no');
  return `| \`${name}\` | \`${peftType}\`${variant === undefined ? '' : ` with \`${variant}\``} | ${paper === undefined ? title : `[${title}](${paper})`}: ${what} | ${kinds.map((kind) => `\`${kind}\``).join(', ')} | ${yes(isLora || merges(math))} | ${yes(isLora || canBeTakenOut(math))} | ${yes(isLora || blends(math))} | ${isLora ? 'is LoRA' : 'factors' in math || math.toLora ? 'exactly' : merges(math) ? 'nearly' : 'no'} | ${costs[name] === undefined ? '–' : costs[name].toFixed(2)} |`;
}

/** Configs that only say how an adapter is trained: elsewhere it is LoRA itself. */
const ofTraining = new Set(['velora_config', 'monteclora_config']);

function merges(math: AdapterLayer): boolean {
  return 'factors' in math || 'delta' in math || math.weight !== undefined;
}

function blends(math: AdapterLayer): boolean {
  const isProduct = 'factors' in math && Object.values(math.tensors).every(({ share = 'site' }) => share === 'site');
  return isProduct || math.linearIn !== undefined;
}

function canBeTakenOut(math: AdapterLayer): boolean {
  return math.unmerged !== undefined || (('factors' in math || 'delta' in math) && !math.readsWeight);
}

/** A layer as large as the defaults of all tuners need. */
function example(kind: TargetLayer['kind']): TargetLayer {
  const [features, kernel] = [256, kind.startsWith('conv') ? 3 : 1];
  const spatial = kind.startsWith('conv') ? Array.from({ length: Number(kind.at(-2)) }, () => kernel) : [];
  const weightShape = [features, features, ...spatial];
  const count = weightShape.reduce((product, size) => product * size, 1);
  const weight = (): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i * i));
  return {
    path: 'encoder.0',
    kind,
    in: features,
    out: features,
    weightShape,
    bias: true,
    weight,
    ownBias: () => weight().slice(0, features),
  };
}
