/** @file Initialises an adapter: runs the initialiser with the weights, inputs or gradients that it needs. */

import { Adapter } from '../../adapter/adapter.ts';
import { convertResidual, exactly } from '../../adapter/storage/convertResidual.ts';
import { ParameterFinder } from '../../adapter/merging/findParameter.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { scalingOf } from '../../adapter/formats/scaling.ts';
import type {
  GradientInitializer,
  InitialFactors,
  Initializer,
  InitSite,
  InputInitializer,
  InputObserver,
} from '../../lora/init/initializer.ts';
import { gradientMatrix, weightMatrix } from '../../lora/init/weightMatrix.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';
import type { AdapterPlan } from '../../lora/methods/moduleAdapter.ts';
import type { Batch } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import { Random } from '../../runtime/random.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import { sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { observeInputs } from '../../train/observeInputs.ts';
import { weightGradients } from '../../train/weightGradients.ts';
import { initSite } from '../planning/initialSite.ts';
import type { PlannedAdapter } from '../planning/loraOptions.ts';
import type { Model } from '../loaded/model.ts';
import { fixedTensors, isResidual, peftTensors, type Start, startedLayer } from './start.ts';

/** Arguments of {@link initialise}. */
export interface InitialiseRequest {
  readonly model: Model;
  readonly planned: PlannedAdapter;
  readonly data: PreparedTask;
  readonly session: SessionOptions;
  readonly seed: number;
  readonly batches: number;
  readonly batchSize: number;
}

/** An adapter with initial values. */
export interface Initialised {
  readonly plan: AdapterPlan;
  readonly config: AdapterConfig;
  finish(trained: ReadonlyMap<string, Tensor>, baseDigest: string): Adapter;
}

/** Memory for observations or gradients; larger sets of modules are processed in groups. */
const GROUP_BYTES = 256 << 20;

/**
 * Computes initial values for every module of a plan.
 * @throws OnnxLoraError `CONFIG_INVALID`, `NO_GRADIENT`, `LOSS_NOT_FINITE`, `MODEL_INVALID`, and errors of the task and
 *   runtime
 */
export async function initialise(request: InitialiseRequest): Promise<Initialised> {
  const { plan, config, initializer } = request.planned;
  const finish: Initialised['finish'] = (trained, digest) => new Adapter(config, trained, digest);
  if (!initializer) return { plan, config, finish };
  return new Initialisation(request, initializer).run();
}

class Initialisation {
  readonly #request: InitialiseRequest;
  readonly #initializer: Initializer;
  readonly #random: Random;
  #config: AdapterConfig;
  #lowRank: readonly LowRankSite[];

  constructor(request: InitialiseRequest, initializer: Initializer) {
    this.#request = request;
    this.#initializer = initializer;
    this.#random = new Random(request.seed + 1);
    this.#config = request.planned.config;
    this.#lowRank = request.planned.plan.flatMap(({ lowRank }) => lowRank ?? []);
  }

  async run(): Promise<Initialised> {
    const starts = await this.#starts();
    const config = { ...this.#config, ...this.#saved(starts) };
    const { plan } = this.#request.planned;
    const constant = new Map(starts.flatMap((start) => fixedTensors(start)));
    const residual = new Map(starts.flatMap((start) => (isResidual(start) ? peftTensors(start) : [])));
    return {
      plan: [...starts.map(startedLayer), ...plan.filter(({ lowRank }) => !lowRank)],
      config,
      finish: (trained, digest) => {
        const adapter = new Adapter(config, new Map([...trained, ...constant]), digest);
        return residual.size === 0 ? adapter : convertResidual(adapter, new Adapter(config, residual));
      },
    };
  }

  /** The initialiser's config fields; {@link convertResidual} corrects them for residual starts. */
  #saved(starts: readonly Start[]): Partial<AdapterConfig> {
    const { saved } = this.#initializer;
    const areLinear = starts.every(({ lowRank: { site, savedAs } }) => site.kind === 'linear' && savedAs === undefined);
    return saved && areLinear ? { ...saved, extra: { ...this.#config.extra, ...saved.extra } } : {};
  }

  async #starts(): Promise<Start[]> {
    const initializer = this.#initializer;
    const each = (init: (lowRank: LowRankSite, site: InitSite) => InitialFactors): Start[] =>
      this.#lowRank.map((lowRank) => this.#start(lowRank, init(lowRank, this.#describe(lowRank))));
    switch (initializer.needs) {
      case 'nothing':
        return each((_, site) => initializer.init(site, this.#random));
      case 'weight':
        return each(({ site }, facts) => initializer.init(facts, weightMatrix(site), this.#random));
      case 'gradient':
        return this.#fromGradients(initializer);
      case 'inputs':
        return this.#fromInputs(initializer);
    }
  }

  async #fromGradients(initializer: GradientInitializer): Promise<Start[]> {
    const { model, data, session, batches } = this.#request;
    const finder = new ParameterFinder(model.onnx.model.graph, model.sites());
    const starts: Start[] = [];
    for (const group of groups(this.#lowRank, ({ site }) => 4 * sizeOf(site.weightShape))) {
      const parameters = group.map(({ site }) => finder.find(site.path, 'weight')!);
      const gradients = await weightGradients(parameters, {
        base: model.onnx.model,
        loss: (g, outputs, targets) => data.loss(g, outputs, targets),
        ...(data.lossWeight ? { lossWeight: (targets) => data.lossWeight!(targets) } : {}),
        runtime: model.workerRuntime,
        session,
        name: model.name,
        batch: (index) => this.#batch(index),
        batches,
      });
      group.forEach((lowRank, i) => {
        const gradient = gradientMatrix(lowRank.site, gradients.get(parameters[i]!)!);
        starts.push(this.#start(lowRank, initializer.init(this.#describe(lowRank), gradient, this.#random)));
      });
    }
    return starts;
  }

  async #fromInputs(initializer: InputInitializer): Promise<Start[]> {
    const { model, session, batches } = this.#request;
    const values = new Map<string, LowRankSite[]>();
    for (const lowRank of this.#lowRank) {
      const { input } = lowRank.site;
      values.set(input, [...(values.get(input) ?? []), lowRank]);
    }
    const starts: Start[] = [];
    const watched: { readonly lowRank: LowRankSite; readonly observer: InputObserver }[] = [];
    for (const group of groups([...values.values()], ([lowRank]) => 4 * this.#describe(lowRank!).width ** 2)) {
      const observed = group.map((sites) => {
        const { site } = sites[0]!;
        const { width } = this.#describe(sites[0]!);
        const r = Math.max(...sites.map((each) => each.r!));
        return {
          sites,
          name: site.input,
          width,
          ...(site.arrange ? { order: site.arrange.input } : {}),
          observer: initializer.observe({ width, r, random: this.#random }),
        };
      });
      await observeInputs(observed, {
        base: model.onnx.model,
        runtime: model.workerRuntime,
        session,
        name: model.name,
        batch: async (index) => (await this.#batch(index)).inputs,
        batches,
        passes: initializer.passes,
      });
      for (const { sites, observer } of observed) {
        for (const lowRank of sites) {
          // Ranks may depend on all layers; otherwise observations are freed early.
          if (initializer.ranks) watched.push({ lowRank, observer });
          else starts.push(this.#fromObserver(lowRank, observer));
        }
      }
    }
    if (!initializer.ranks) return starts;
    const shared = initializer.ranks(
      watched.map(({ lowRank, observer }) => ({ path: lowRank.site.path, r: lowRank.r!, observer })),
    );
    this.#share(shared);
    const byPath = new Map(this.#lowRank.map((lowRank) => [lowRank.site.path, lowRank]));
    return watched.flatMap(({ lowRank: { site }, observer }) => {
      const lowRank = byPath.get(site.path);
      return lowRank ? [this.#fromObserver(lowRank, observer)] : [];
    });
  }

  #fromObserver(lowRank: LowRankSite, observer: InputObserver): Start {
    return this.#start(
      lowRank,
      observer.factors(this.#describe(lowRank), () => weightMatrix(lowRank.site)),
    );
  }

  #start(lowRank: LowRankSite, factors: InitialFactors): Start {
    const { fixed } = this.#initializer;
    return { lowRank, factors, ...(fixed ? { fixed } : {}), scaling: this.#describe(lowRank).scaling };
  }

  /** Assigns other ranks. Alpha grows with the rank, so that scalings stay as in PEFT. */
  #share(ranks: ReadonlyMap<string, number>): void {
    const [rankPattern, alphaPattern]: Record<string, number>[] = [{}, {}];
    const lowRank = this.#lowRank.flatMap((each) => {
      const { path } = each.site;
      const r = ranks.get(path) ?? each.r!;
      if (r === 0) return [];
      if (r !== each.r) {
        rankPattern![exactly(path)] = r;
        alphaPattern![exactly(path)] = (scalingOf(this.#config, path).alpha * r) / each.r!;
      }
      return [{ ...each, r }];
    });
    this.#lowRank = lowRank;
    this.#config = {
      ...this.#config,
      targetModules: lowRank.flatMap(({ site, savedAs }) => (savedAs === undefined ? [site.path] : [])),
      rankPattern: { ...rankPattern, ...this.#config.rankPattern },
      alphaPattern: { ...alphaPattern, ...this.#config.alphaPattern },
    };
  }

  #describe(lowRank: LowRankSite): InitSite {
    return initSite(lowRank, this.#config);
  }

  async #batch(index: number): Promise<Batch> {
    const { data, batchSize, seed } = this.#request;
    const order = new Random(seed).permutation(data.train.length);
    const indices = Array.from({ length: batchSize }, (_, i) => order[(index * batchSize + i) % order.length]!);
    return data.collate(await Promise.all(indices.map((each) => data.train.get(each))));
  }
}

/** Splits a list into groups of at most {@link GROUP_BYTES}, or of one member. */
function* groups<T>(list: readonly T[], bytes: (each: T) => number): Generator<T[]> {
  let group: T[] = [];
  let total = 0;
  for (const each of list) {
    const own = bytes(each);
    if (group.length > 0 && total + own > GROUP_BYTES) {
      yield group;
      [group, total] = [[], 0];
    }
    group.push(each);
    total += own;
  }
  if (group.length > 0) yield group;
}
