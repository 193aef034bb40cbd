/** @file From the module names in PEFT's files to sites, and the scaling of each. */

import { describe, expect, test } from 'vitest';
import type { Site } from '../../match/sites.ts';
import { SiteNames, scalingAt } from './moduleNames.ts';
import { adapterConfig } from '../formats/peftConfig.ts';

const site = (path: string, kind: Site['kind'] = 'linear'): Site => ({ path, kind }) as Site;
const sites = [
  site('attn.out_proj'), site('attn'), site('deep.attn.out_proj'), site('layer.0.fc'),
  site('experts.gate_up', 'parameter'), site('experts.down', 'parameter'), site('experts.bias', 'parameter'),
]; // prettier-ignore

describe('modules of an adapter', () => {
  const names = new SiteNames(sites, { targetParameters: ['experts.gate_up', 'down'] });
  test.each([
    ['layer.0.fc', 'layer.0.fc'],
    ['attn', 'attn'],
    // PEFT wraps a MultiheadAttention, and its out_proj once more.
    ['attn.base_layer.out_proj', 'attn.out_proj'],
    ['deep.attn.base_layer.out_proj', 'deep.attn.out_proj'],
    // The parameter that torch registered first is innermost.
    ['experts', 'experts.down'],
    ['experts.base_layer', 'experts.gate_up'],
    ['experts.base_layer.base_layer', undefined],
    ['fc', undefined],
    ['layer.0.fc.base_layer', undefined],
  ])('%s', (module, path) => expect(names.find(module)?.path).toBe(path));

  test('one target parameter needs no wrapper of a wrapper', () => {
    const one = new SiteNames(sites, { targetParameters: ['experts.down'] });
    expect(one.find('experts')?.path).toBe('experts.down');
    expect(one.find('experts.base_layer')).toBeUndefined();
    expect(new SiteNames(sites, { targetParameters: null }).find('experts')).toBeUndefined();
  });

  test('are named as they are found', () => {
    const saved = names.paths.map((path) => names.nameOf(sites.find((each) => each.path === path)!));
    expect(saved).toEqual(['attn.out_proj', 'attn', 'deep.attn.out_proj', 'layer.0.fc', 'experts.base_layer', 'experts', 'experts.bias']); // prettier-ignore
    for (const each of sites.slice(0, 6)) expect(names.find(names.nameOf(each))).toBe(each);
  });
});

describe('scaling', () => {
  const config = adapterConfig({
    r: 4,
    loraAlpha: 8,
    rankPattern: { attn: 2, 'experts.down': 8 },
    alphaPattern: { attn: 6 },
  });

  test("a MultiheadAttention's out_proj has its rank and alpha, and acts twice", () => {
    // PEFT's MultiheadAttention hands them to out_proj, sets the merged weight and then lets out_proj merge again.
    const outProj = site('attn.out_proj');
    expect(scalingAt(config, { site: outProj, savedAs: 'attn.base_layer.out_proj' })).toEqual({ r: 2, alpha: 6, scaling: 6 }); // prettier-ignore
    expect(scalingAt(config, { site: site('attn') })).toEqual({ r: 2, alpha: 6, scaling: 3 });
    // A Linear of that name in another module is an ordinary one.
    expect(scalingAt(config, { site: outProj })).toEqual({ r: 4, alpha: 8, scaling: 2 });
    expect(scalingAt({ ...config, useRslora: true }, { site: outProj, savedAs: 'attn.base_layer.out_proj' }).scaling).toBeCloseTo(12 / Math.sqrt(2), 12); // prettier-ignore
  });

  test('patterns mean a parameter by its own name', () => {
    expect(scalingAt(config, { site: site('experts.down', 'parameter'), savedAs: 'experts' })).toMatchObject({ r: 8, scaling: 1 }); // prettier-ignore
    const named = { ...config, rankPattern: { 'fc.weight': 16 }, targetParameters: ['fc.weight'] };
    expect(scalingAt(named, { site: site('layer.0.fc') })).toMatchObject({ r: 16, scaling: 0.5 });
    expect(scalingAt({ ...named, targetParameters: null }, { site: site('layer.0.fc') })).toMatchObject({ r: 4, scaling: 2 }); // prettier-ignore
  });
});
