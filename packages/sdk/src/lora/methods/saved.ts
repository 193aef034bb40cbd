/** @file A fully trained weight or bias: of `modules_to_save`, or a bias of an adapted layer. */

import type { WeightEdit } from '../../adapter/merging/editWeights.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import { biasReaders, byTensor, weightReader } from '../../adapter/merging/weightReaders.ts';
import { floats } from '../../graph/tensorData.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import {
  type Edits,
  type InLayout,
  type ModuleAdapter,
  interpolated,
  type SavedTensors,
  type AdapterTensor,
} from './moduleAdapter.ts';
import type { TrainedParameter } from './trainedParameter.ts';

/** Whether torch has it as a buffer, which no optimizer moves: PEFT's files have those of a BatchNorm, too. */
function isBuffer(word: string): boolean {
  return word === 'running_mean' || word === 'running_var';
}

/** A replaced parameter; in training in the base's layout, for inference `[in, out]` if linear, else torch's. */
export class WholeParameter implements ModuleAdapter {
  /** The parameter, and where the graph has it. */
  readonly parameter: TrainedParameter;
  readonly noUnmerge = 'is trained in full and has replaced what was there';

  /** Wraps a parameter of the base that is trained in full. */
  constructor(parameter: TrainedParameter) {
    this.parameter = parameter;
  }

  get path(): string {
    return this.parameter.modulePath;
  }

  get slot(): string {
    return `parameter ${this.parameter.name}`;
  }

  get site(): Site | undefined {
    return this.parameter.site;
  }

  get isOpen(): boolean {
    return this.parameter.isOpen === true;
  }

  get wants(): ModuleAdapter['wants'] {
    const { name, modulePath } = this.parameter;
    const option = `modulesToSave: ${JSON.stringify([modulePath])}`;
    return [{ input: `${this.slot}:parameter`, label: name, option }];
  }

  tensor(): AdapterTensor {
    const { parameter } = this;
    const { name, stored, layout, torchDims, modulePath, savedAs } = parameter;
    const word = name.slice(name.lastIndexOf('.') + 1);
    return {
      role: 'parameter',
      name,
      savedAs: savedAs ?? tensorName(modulePath, 'parameter', word),
      scale: 1,
      count: sizeOf(stored.dims),
      ...(isBuffer(word) ? { use: 'frozen' } : {}),
      first: () => ({ value: stored.read().slice(), dims: stored.dims }),
      fromSaved: (saved): InLayout => {
        const own = saved.get('parameter')!;
        const [rows, columns] = own.dims as [number, number];
        const value = layout === 'in-out' ? transposed(floats(own), rows, columns) : floats(own).slice();
        return { value, dims: stored.dims };
      },
      toSaved: ({ value, dims }) => {
        const [rows, columns] = dims as [number, number];
        if (layout !== 'in-out') return float32(value.slice(), torchDims ?? dims);
        return float32(transposed(value, rows, columns), [columns, rows]);
      },
      idle: () => float32(forInference(stored.read(), parameter), servedDims(parameter)),
      blend: (parts, base) => interpolated(parts, base, modulePath),
    };
  }

  trained(): readonly AdapterTensor[] {
    const own = this.tensor();
    return own.use === undefined ? [own] : [];
  }

  join(other: ModuleAdapter = this): ModuleAdapter | undefined {
    return other.parameter && other;
  }

  feeds(saved: SavedTensors): ReadonlyMap<string, Tensor> {
    const tensor = saved.get('parameter')!;
    const [rows, columns] = tensor.dims as [number, number];
    const { layout, isOpen } = this.parameter;
    const isMatrix = layout !== 'torch';
    const data = isMatrix ? transposed(floats(tensor), rows, columns) : floats(tensor);
    const wanted = servedDims(this.parameter);
    // A head with the adapter's number of outputs.
    const open = isMatrix
      ? tensor.dims.toReversed()
      : tensor.dims.length === wanted.length
        ? tensor.dims
        : wanted.map((dim) => (dim === 1 ? 1 : data.length));
    return new Map([['parameter', float32(data, isOpen && sizeOf(wanted) !== data.length ? open : wanted)]]);
  }

  /** The trained values, for every occurrence of the module. */
  edits(saved: SavedTensors): Edits {
    const { site, stored, readers, layout, modulePath: module } = this.parameter;
    const tensor = saved.get('parameter')!;
    const values = floats(tensor);
    const [rows, columns] = tensor.dims as [number, number];
    const inLayout = (own: typeof layout): Float32Array =>
      own === 'in-out' && layout !== 'torch' ? transposed(values, rows, columns) : values;
    const edit = (own: Pick<WeightEdit, 'stored' | 'readers'>, wanted: Float32Array): WeightEdit => ({
      ...own,
      change: () => wanted,
      module,
    });
    const weights = !site
      ? [edit({ stored, readers }, inLayout(layout))]
      : stored === site.bias?.stored
        ? biasReaders(site).map((own) => edit(own, values))
        : byTensor(occurrencesOf(site), ({ weight }) => weight.stored).map((places) => {
            const { weight } = places[0];
            return edit({ stored: weight.stored, readers: places.map(weightReader) }, inLayout(weight.layout));
          });
    return { weights, biases: [] };
  }
}

function servedDims({ stored: { dims }, layout }: TrainedParameter): number[] {
  return layout === 'out-in' ? dims.toReversed() : [...dims];
}

function forInference(data: Float32Array, { stored, layout }: TrainedParameter): Float32Array {
  const [rows, columns] = stored.dims as [number, number];
  return layout === 'out-in' ? transposed(data, rows, columns) : data;
}
