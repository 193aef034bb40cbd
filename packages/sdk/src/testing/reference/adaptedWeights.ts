/** @file What an adapter makes of a model's weights, in plain JavaScript and double precision: W + s·B·A. */

import { tensorName } from '../../adapter/formats/tensorNames.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { NodeProto } from '../../graph/proto.ts';
import type { LowRankSite } from '../../lora/tunings/lowRankSite.ts';
import { occurrencesOf } from '../../match/sites.ts';
import type { TrainedParameter } from '../../lora/tunings/trainedParameter.ts';
import { wholeParameters } from '../../lora/tunings/wholeParameter.ts';
import { transposed } from '../../runtime/layout.ts';
import type { PlannedAdapter } from '../../model/planning/loraOptions.ts';

/** Tensors of an adapter in double precision, by PEFT's names and in PEFT's layout. */
export type WideTensors = ReadonlyMap<string, { readonly data: Float64Array; readonly dims: readonly number[] }>;

/** One weight or bias of the base that an adapter changes. */
export interface AdaptedWeight {
  /** Name of the parameter in torch: `encoder.0.weight`. */
  readonly name: string;
  /** Names of the adapter's tensors that it is made of. */
  readonly from: readonly string[];
  /** Shape in torch. */
  readonly torchDims: readonly number[];
  /** Shape in the graph. */
  readonly dims: readonly number[];
  /** Which nodes read it, and by which name. */
  readonly readers: readonly { readonly node: NodeProto; readonly name: string }[];
  /** What it becomes, in torch's layout. */
  valueOf(tensors: WideTensors): Float64Array;
  /** A value in torch's layout as the graph has it. */
  toGraph(value: Float64Array): Float64Array;
}

/**
 * The weights that the adapters of a plan change.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for what the reference does not know: DoRA, biases of lora_B, trained tokens, grouped
 *   convolutions
 */
export function adaptedWeights({ plan }: Pick<PlannedAdapter, 'plan'>): AdaptedWeight[] {
  return [
    ...plan.flatMap(({ lowRank, scaling = 1 }) => (lowRank ? [lowRankWeight(lowRank, scaling)] : [])),
    ...wholeParameters(plan).map(trainedWeight),
  ];
}

function lowRankWeight(lowRank: LowRankSite, scaling: number): AdaptedWeight {
  const { site, savedAs = site.path } = lowRank;
  const reason = refusal(lowRank);
  if (reason !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The reference does not know the adapter of "${site.path}": ${reason}. Make the case with PEFT, or leave the module out.`,
    );
  }
  const { stored, layout } = site.weight;
  const base = Float64Array.from(stored.read());
  const { weightShape } = site;
  const turned = layout === 'in-out' && site.kind === 'linear';
  const torch = turned ? transposed(base, stored.dims[0]!, stored.dims[1]!) : base;
  const width = torch.length / weightShape[0]!;
  const names =
    site.kind === 'embedding'
      ? [tensorName(savedAs, 'lora_embedding_A'), tensorName(savedAs, 'lora_embedding_B')]
      : [tensorName(savedAs, 'lora_A'), tensorName(savedAs, 'lora_B')];
  return {
    name: `${site.path}.weight`,
    from: names,
    torchDims: weightShape,
    dims: stored.dims,
    readers: occurrencesOf(site).map(({ node, weight }) => ({ node, name: weight.name })),
    valueOf: (tensors) => {
      const [A, B] = [tensors.get(names[0]!)!, tensors.get(names[1]!)!];
      const [r] = A.dims as [number];
      const inputs = A.data.length / r;
      return torch.map((value, at) => {
        const [row, column] = [Math.floor(at / width), at % width];
        // An embedding [vocabulary, dim] is (B·A)ᵀ: A [r, vocabulary], B [dim, r].
        const [o, i] = site.kind === 'embedding' ? [column, row] : [row, column];
        let sum = 0;
        for (let k = 0; k < r; k++) sum += B.data[o * r + k]! * A.data[k * inputs + i]!;
        return value + scaling * sum;
      });
    },
    toGraph: (value) => (turned ? transposed(value, weightShape[0]!, weightShape[1]!) : value),
  };
}

function refusal({ site, dora, bias, tokens, tiedTo }: LowRankSite): string | undefined {
  if (dora) return 'it is one of DoRA';
  if (bias) return 'its lora_B has a bias';
  if (tokens || tiedTo) return 'it trains tokens, or is tied to another';
  if (site.foldedScale) return 'a normalisation is folded into the weight';
  if (!['linear', 'conv1d', 'conv2d', 'conv3d', 'embedding'].includes(site.kind)) return `it is a ${site.kind}`;
  const group = site.node.attribute?.find(({ name }) => name === 'group')?.i ?? 1;
  if (Number(group) !== 1) return 'it is a convolution with groups';
  return undefined;
}

function trainedWeight(parameter: TrainedParameter): AdaptedWeight {
  const { name, modulePath, savedAs, layout, stored, readers } = parameter;
  const own = savedAs ?? tensorName(modulePath, 'parameter', name.slice(name.lastIndexOf('.') + 1));
  const turned = layout === 'in-out' && stored.dims.length === 2;
  const torchDims = turned ? stored.dims.toReversed() : (parameter.torchDims ?? stored.dims);
  return {
    name,
    from: [own],
    torchDims,
    dims: stored.dims,
    readers,
    valueOf: (tensors) => Float64Array.from(tensors.get(own)!.data),
    toGraph: (value) => (turned ? transposed(value, torchDims[0]!, torchDims[1]!) : value),
  };
}
