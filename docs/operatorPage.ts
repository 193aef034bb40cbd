/** @file The page that says which operators can be trained through, adapted and inferred, made from the SDK's own tables. */

import {
  type DifferentiableOp,
  gradientRules,
  manyOutputOps,
  stopGradientOps,
  type StraightThroughOp,
} from '../packages/sdk/src/autodiff/rules.ts';
import { expansionRows } from '../packages/sdk/src/ops/expand/table.ts';
import { inferenceRules } from '../packages/sdk/src/ops/infer.ts';
import type { Cases } from '../test/support/caseForms.ts';
import type { Case } from '../test/support/gradcheck.ts';
import { cases } from '../test/support/gradientCases.ts';
import { operatorInputs } from './operatorInputs.ts';

const checks: Readonly<Partial<Record<DifferentiableOp, Cases>>> = cases;

/** The page in Markdown. */
export function operatorPage(): string {
  const ops = sorted(Object.keys(gradientRules)) as DifferentiableOp[];
  return `---
title: Operators
order: 60
---

# Operators

ONNX operators with a gradient, with adaptable layers, and with type and shape inference. Inference is not limited by this page: whatever ONNX Runtime runs, the SDK runs.

This page is made from the tables that the SDK works with. Names are those of ONNX's own domain and of \`com.microsoft\`; an operator of another domain with the same name is unknown, unless [a plugin](../guides/plugin.md) defines it.

## Layers that can be adapted

| kind | operators | where |
| --- | --- | --- |
| \`linear\` | \`MatMul\` | with a constant matrix on the right; on the left where the exporter's names say that it is a layer |
| | \`Gemm\` | with the weight second, without \`transA\`, \`alpha\` and \`beta\` 1 |
| | \`Einsum\` | of a value and a constant matrix, summed over one label |
| | \`MatMulNBits\`, \`MatMulBnb4\` | with constant blocks |
| | \`MatMulInteger\` | behind \`DynamicQuantizeLinear\`, scaled behind it |
| \`conv1d\`, \`conv2d\`, \`conv3d\` | \`Conv\` | with a constant weight |
| | \`ConvInteger\` | behind \`DynamicQuantizeLinear\`, scaled behind it |
| \`embedding\` | \`Gather\` | of rows of a constant table, by ids that are no constants |
| \`parameter\` | \`Einsum\` | of a value and a constant \`[experts, d1, d2]\`: PEFT's \`target_parameters\` |

A weight may be stored as floats or quantised, and may pass Cast, Transpose, Reshape, Slice, Split or DequantizeLinear before it is read: see [match](../concepts/match.md). Layers inside the [fused operators](#fused-operators) below are found as well. PEFT has no LoRA for \`ConvTranspose\` (\`convTranspose1d\`, \`convTranspose2d\`); here it is adapted, in [a layout of its own](../concepts/lora.md#ideas).

## Operators with a gradient

${ops.length} operators. _Not into_ names inputs that count as constants, such as indices and shapes. _Checks_ is the number of forms in which the gradient is held against finite differences that ONNX Runtime computes: in float64 to 1e-8, or where the CPU has no such kernel in float32 to 2e-5. The opsets are those of the checks; a rule reads whatever form the opset of the model has. Where the CPU computes an operator in float16, its gradient there is checked against float32; on WebGPU all are checked against the CPU.

| operator | gradient flows into | not into | checks | opsets |
| --- | --- | --- | --- | --- |
${ops.map(gradientRow).join('\n')}

${listOf(sorted(manyOutputOps))} take gradients of all their outputs. The loss may depend on the first output alone of any other operator.

### Integers and packed weights

${listOf(sorted(straightThrough()))} round, or read what was rounded. Their gradients are those of the float operators that they stand for, and 0 outside of the range of the integers; scales and zero points are constants. They are checked against those float operators.

### Stop gradients

Outputs of these do not change smoothly with their inputs, so they count as constants: ${listOf(sorted(stopGradientOps))}.

### Control flow

Gradients pass \`If\`, and no \`Loop\` or \`Scan\`. Functions of the model are inlined first. Sequences and optionals have no gradients.

### Without a rule

An operator that is in neither list and lies between an adapted layer and the loss ends training before it begins, with [\`NO_GRADIENT\`](./errors.md#no-gradient), which names the node, its module and the opset. Below the lowest adapted layer, any operator will do. Three ways out:

- Adapt only layers after it.
- Bring a rule [in a plugin](../guides/plugin.md): \`definePlugin({ operators: [{ domain, op, gradient }] })\`. Rules of this page cannot be replaced.
- Add it to the SDK: a rule and its numeric checks, two rows in all, as the contributing guide shows.

### Wrong on WebGPU

These forms are left out of the checks on WebGPU, because ONNX Runtime's kernel of the operator itself gives wrong numbers or fails there. Which operators it leaves to the CPU: [autodiff](../concepts/autodiff.md#on-webgpu).

${webgpuLines(ops).join('\n')}

## Fused operators

Taken apart into standard operators where layers in them are adapted or gradients pass them, from opset 11 on; put together again where nothing was changed. An attribute or a form that the rule does not know leaves the operator as it is.

ONNX's own: ${listOf(sorted(Object.keys(expansionRows['']!)))}.

\`com.microsoft\`: ${listOf(sorted(Object.keys(expansionRows['com.microsoft']!)))}.

Not taken apart: mixtures of experts, sparse, paged and packed attention, a cache whose buffer is longer than what it holds, \`do_rotary\` inside \`Attention\`, beam search, and everything of \`com.microsoft.nchwc\`.

## Operators whose types and shapes are known

For others the file's own \`value_info\` is taken, or a plugin's rule; where there is neither, a gradient that needs the shape fails with [\`MODEL_UNSUPPORTED\`](./errors.md#model-unsupported).

${listOf(sorted(Object.keys(inferenceRules)))}.
`;
}

function gradientRow(op: DifferentiableOp): string {
  const rule = gradientRules[op];
  const names = operatorInputs[op]?.split(' ');
  const inputs = typeof rule === 'function' ? [] : Array.from({ length: names?.length ?? rule.length }, (_, i) => i);
  const named = (isMeant: (vjp: unknown) => boolean, note = ''): string[] =>
    inputs.flatMap((i) =>
      isMeant((rule as readonly unknown[])[i]) ? [`\`${names?.[i] ?? `input ${i + 1}`}\`${note}`] : [],
    );
  const reached = named((vjp) => typeof vjp === 'function').join(', ');
  const constant = [...named((vjp) => vjp === null), ...named((vjp) => vjp === undefined, ' (no rule)')].join(', ');
  const all = typeof rule === 'function' ? 'all inputs' : inputs.length === 1 ? 'its input' : reached;
  return `| \`${op}\` | ${all} | ${constant} | ${checksOf(checks[op])} | ${opsetsOf(checks[op])} |`;
}

function checksOf(forms: Cases | undefined): string {
  if (!forms) return '[below](#integers-and-packed-weights)';
  return `${forms.length}${forms.every(({ type }) => type === 'float32') ? ', float32' : ''}`;
}

function opsetsOf(forms: Cases | undefined): string {
  return [...new Set((forms ?? []).map(({ opset = 18 }) => opset))].sort((a, b) => a - b).join(', ');
}

function straightThrough(): StraightThroughOp[] {
  return Object.keys(gradientRules).filter((op): op is StraightThroughOp => !(op in checks));
}

/** A line per mistake, with the operators that have it. */
function webgpuLines(ops: readonly DifferentiableOp[]): string[] {
  const lines = new Map<string, string[]>();
  for (const op of ops) {
    const reasons = (checks[op] ?? []).flatMap(({ webgpu }: Case) => webgpu ?? []);
    for (const reason of new Set(reasons)) {
      const count = reasons.filter((each) => each === reason).length;
      lines.set(reason, [...(lines.get(reason) ?? []), `\`${op}\` (${count} of ${checks[op]!.length})`]);
    }
  }
  return [...lines].map(([reason, found]) => `- ${reason.replace(/[.]$/, ':')} ${found.join(', ')}`);
}

function sorted(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => a.localeCompare(b, 'en'));
}

function listOf(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}
