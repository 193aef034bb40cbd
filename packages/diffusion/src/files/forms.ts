/** @file The ways in which a file's tensors say how a weight changes: shapes that each needs, and its mathematics. */

import type { ByTensor } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { Role } from './keys.ts';

/** Shapes of a module's tensors. */
export type RoleShapes = Readonly<Partial<Record<Role, readonly number[]>>>;

/** A way to change a weight. */
export interface Form {
  /** As users know it. */
  readonly name: 'LoRA' | 'LoHa' | 'LoKr' | 'full' | 'IA3';
  /** The role that tells it from the others. */
  readonly sign: readonly Role[];
  /** The rank that alpha is divided by; undefined where alpha has no effect. */
  readonly rank: (shapes: RoleShapes) => number | undefined;
  /**
   * Shapes that the tensors must have, `[first, rest]`; of cores whole.
   * @param weight torch's shape of the layer's weight
   */
  readonly shapes: (shapes: RoleShapes, weight: readonly number[]) => Partial<Record<Role, readonly number[]>>;
  /**
   * Emits ΔW before the scale, in any shape of its size.
   * @param weight torch's shape of the layer's weight
   * @param own emits the layer's weight, for forms that multiply it
   * @param flags of the file, such as whether IA3 scales inputs
   */
  readonly delta: (
    g: GraphBuilder,
    tensors: ByTensor<Value>,
    weight: readonly number[],
    own: () => Value,
    flags: { readonly onInput: boolean | undefined },
  ) => Value;
}

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1);

/** `[first, product of the rest]`. */
function flat(dims: readonly number[]): [number, number] {
  return [dims[0] ?? 1, product(dims.slice(1))];
}

/** A value as a matrix. */
function matrix(g: GraphBuilder, value: Value): Value {
  return g.Reshape(value, flat(value.shape as number[]));
}

const lora: Form = {
  name: 'LoRA',
  sign: ['lora_down', 'lora_up'],
  rank: ({ lora_down }) => lora_down?.[0],
  shapes: ({ lora_down, lora_up, lora_mid }, [out, inputs, ...kernel]) => {
    const r = lora_down?.[0] ?? 0;
    return lora_mid
      ? { lora_down: [r, inputs!], lora_mid: [lora_up?.[1] ?? 0, r, ...kernel], lora_up: [out!, lora_mid[0] ?? 0] }
      : { lora_down: [r, inputs! * product(kernel)], lora_up: [out!, r] };
  },
  delta: (g, { lora_down, lora_up, lora_mid }) => {
    const [down, up] = [matrix(g, lora_down!), matrix(g, lora_up!)];
    return g.MatMul(up, lora_mid ? throughCore(g, lora_mid, down) : down);
  },
};

/** `[p, in · kernel]` from a core `[p, q, ...kernel]` and b `[q, in]`. */
function throughCore(g: GraphBuilder, core: Value, b: Value): Value {
  const [p, q, ...kernel] = core.shape as [number, number, ...number[]];
  const [, inputs] = b.shape as [number, number];
  const turned = g.Reshape(g.MatMul(g.Transpose(b, [1, 0]), g.Reshape(core, [p, q, product(kernel)])), [p, inputs * product(kernel)]); // prettier-ignore
  return turned;
}

const loha: Form = {
  name: 'LoHa',
  sign: ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b'],
  rank: ({ hada_w1_b }) => hada_w1_b?.[0],
  shapes: (shapes, [out, inputs, ...kernel]) => {
    const [one, two] = [shapes.hada_w1_b?.[0] ?? 0, shapes.hada_w2_b?.[0] ?? 0];
    if (shapes.hada_t1 || shapes.hada_t2) {
      return {
        hada_t1: [one, one, ...kernel],
        hada_w1_a: [one, out!],
        hada_w1_b: [one, inputs!],
        hada_t2: [two, two, ...kernel],
        hada_w2_a: [two, out!],
        hada_w2_b: [two, inputs!],
      };
    }
    const width = inputs! * product(kernel);
    return { hada_w1_a: [out!, one], hada_w1_b: [one, width], hada_w2_a: [out!, two], hada_w2_b: [two, width] };
  },
  delta: (g, t) => {
    const factor = (core: Value | undefined, a: Value, b: Value): Value =>
      core
        ? g.MatMul(g.Transpose(matrix(g, a), [1, 0]), throughCore(g, core, matrix(g, b)))
        : g.MatMul(matrix(g, a), matrix(g, b));
    return g.Mul(
      factor(t['hada_t1'], t['hada_w1_a']!, t['hada_w1_b']!),
      factor(t['hada_t2'], t['hada_w2_a']!, t['hada_w2_b']!),
    );
  },
};

/** Sizes of both factors of a Kronecker product: `[a, b]` of the first, `[c, d]` of the second. */
function factorSizes(shapes: RoleShapes): { readonly one: [number, number]; readonly two: [number, number] } {
  const { lokr_w1, lokr_w1_a, lokr_w1_b, lokr_w2, lokr_w2_a, lokr_w2_b, lokr_t2 } = shapes;
  const one: [number, number] = lokr_w1 ? [lokr_w1[0] ?? 0, lokr_w1[1] ?? 0] : [lokr_w1_a?.[0] ?? 0, lokr_w1_b?.[1] ?? 0]; // prettier-ignore
  if (lokr_w2) return { one, two: [lokr_w2[0] ?? 0, lokr_w2[1] ?? 0] };
  if (lokr_t2) return { one, two: [lokr_w2_a?.[1] ?? 0, lokr_w2_b?.[1] ?? 0] };
  return { one, two: [lokr_w2_a?.[0] ?? 0, lokr_w2_b?.[1] ?? 0] };
}

const lokr: Form = {
  name: 'LoKr',
  sign: ['lokr_w1', 'lokr_w1_a', 'lokr_w2', 'lokr_w2_a', 'lokr_t2'],
  // With both factors whole there is no rank, and LyCORIS ignores alpha.
  rank: ({ lokr_w2_b, lokr_w1_b }) => lokr_w2_b?.[0] ?? lokr_w1_b?.[0],
  shapes: (shapes, [out, inputs, ...kernel]) => {
    const { one: [a, b] } = factorSizes(shapes); // prettier-ignore
    const [c, d] = [out! / a, inputs! / b];
    const r1 = shapes.lokr_w1_b?.[0] ?? 0;
    const r2 = shapes.lokr_w2_b?.[0] ?? 0;
    return {
      ...(shapes.lokr_w1 ? { lokr_w1: [a, b] } : { lokr_w1_a: [a, r1], lokr_w1_b: [r1, b] }),
      ...(shapes.lokr_w2
        ? { lokr_w2: [c, d * product(kernel)] }
        : shapes.lokr_t2
          ? { lokr_t2: [r2, r2, ...kernel], lokr_w2_a: [r2, c], lokr_w2_b: [r2, d] }
          : { lokr_w2_a: [c, r2], lokr_w2_b: [r2, d * product(kernel)] }),
    };
  },
  delta: (g, t, [out, inputs, ...kernel]) => {
    const w1 = t['lokr_w1'] ?? g.MatMul(matrix(g, t['lokr_w1_a']!), matrix(g, t['lokr_w1_b']!));
    const [a, b] = w1.shape as [number, number];
    const [c, d] = [out! / a, inputs! / b];
    const w2 =
      t['lokr_w2'] ??
      (t['lokr_t2']
        ? g.MatMul(
            g.Transpose(matrix(g, t['lokr_w2_a']!), [1, 0]),
            throughCore(g, t['lokr_t2'], matrix(g, t['lokr_w2_b']!)),
          )
        : g.MatMul(matrix(g, t['lokr_w2_a']!), matrix(g, t['lokr_w2_b']!)));
    const window = product(kernel);
    return g.Mul(g.Reshape(w1, [a, 1, b, 1, 1]), g.Reshape(w2, [1, c, 1, d, window]));
  },
};

const full: Form = {
  name: 'full',
  sign: ['diff'],
  rank: () => undefined,
  shapes: (_, weight) => ({ diff: flat(weight) }),
  delta: (_, { diff }) => diff!,
};

const ia3: Form = {
  name: 'IA3',
  sign: ['ia3_weight'],
  rank: () => undefined,
  shapes: ({ ia3_weight }, [out, inputs]) => {
    const size = product(ia3_weight ?? []);
    const [first] = flat(ia3_weight ?? []);
    return { ia3_weight: [first, (size === inputs ? inputs : out!) / first] };
  },
  delta: (g, { ia3_weight }, weight, own, { onInput }) => {
    const size = product(ia3_weight!.shape as readonly number[]);
    // Without LyCORIS's flag the sizes tell the side; where they are equal, it is the output.
    const isInput = onInput ?? size !== weight[0];
    const ones = weight.slice(2).map(() => 1);
    return g.Mul(own(), g.Reshape(ia3_weight!, isInput ? [1, size, ...ones] : [size, 1, ...ones]));
  },
};

/** All forms. */
const forms: readonly Form[] = [lora, loha, lokr, full, ia3];

/** The form of a module's tensors; undefined if none of them says how the weight changes. */
export function formOf(roles: RoleShapes): Form | undefined {
  return forms.find(({ sign }) => sign.some((role) => roles[role] !== undefined));
}

/** A tensor that does not fit. */
export interface ShapeFault {
  readonly role: Role;
  /** `is missing`, `has shape […], but needs […]`, … */
  readonly problem: string;
}

/** Roles that go with any form. */
const companions = ['alpha', 'scalar', 'dora_scale', 'on_input', 'diff_b'] as const;

/**
 * The first tensor of a module that is missing, too much, or of another shape than the layer needs.
 * @param weight torch's shape of the layer's weight
 */
export function shapeFault(shapes: RoleShapes, weight: readonly number[]): ShapeFault | undefined {
  const form = formOf(shapes);
  const present = Object.keys(shapes) as Role[];
  if (!form)
    return { role: present[0]!, problem: 'stands alone: the tensors that say how the weight changes are missing' };
  const needed = form.shapes(shapes, weight);
  for (const [role, expected] of Object.entries(needed) as [Role, readonly number[]][]) {
    const found = shapes[role];
    if (!found) return { role, problem: 'is missing' };
    const own = expected.length > 2 ? found : flat(found);
    if (own.length !== expected.length || own.some((dim, i) => dim !== expected[i]) || own.includes(0))
      return { role, problem: `has shape [${found.join(', ')}], but the layer's weight [${weight.join(', ')}] needs [${expected.join(', ')}]` }; // prettier-ignore
  }
  for (const role of present) {
    const found = shapes[role]!;
    const is = (name: (typeof companions)[number]): boolean => role === name;
    if (is('alpha') || is('scalar') || is('on_input')) {
      if (product(found) !== 1) return { role, problem: `has shape [${found.join(', ')}], and must be one number` };
    } else if (is('dora_scale')) {
      const [out, inputs] = [weight[0]!, weight[1]!];
      const ones = found.filter((dim) => dim !== 1).length <= 1;
      const fits = (found[0] === out && product(found) === out) || (found[0] === 1 && product(found) === inputs);
      if (!ones || !fits) return { role, problem: `has shape [${found.join(', ')}], but the layer needs [${out}, 1] or [1, ${inputs}]` }; // prettier-ignore
    } else if (is('diff_b')) {
      if (product(found) !== weight[0]) return { role, problem: `has shape [${found.join(', ')}], but the layer has ${weight[0]} outputs` }; // prettier-ignore
    } else if (!(role in needed)) return { role, problem: `does not belong to ${form.name}` };
  }
  return undefined;
}
