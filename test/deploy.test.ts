/** @file The chart and manifests in `deploy`, checked by the schemas of Kubernetes, and their server settings by the server's. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from '@onnx-lora/cli';
import { serveSettings } from '@onnx-lora/serve';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';

interface Manifest {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: { readonly spec: Pod } } & Pod;
}

interface Pod {
  readonly containers?: readonly Container[];
}

interface Container {
  readonly args: readonly string[];
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly mountPath: string; readonly readOnly?: boolean }[];
}

const deploy = fileURLToPath(new URL('../deploy', import.meta.url));
const chart = path.join(deploy, 'helm/onnx-lora');
const python = process.env['ONNX_LORA_PYTHON'] ?? 'python3';
const can = (program: string): boolean => spawnSync(python, ['-c', program]).status === 0;
/** The helm that pip installs beside the interpreter. */
const HELM = 'import sys, os; helm = os.path.join(os.path.dirname(sys.executable), "helm")';

/** Manifests of the chart for values. */
function helm(command: readonly string[], values = '{}'): string {
  const program = `${HELM}; os.execv(helm, ['helm', *sys.argv[1:]])`;
  const { status, stdout, stderr } = spawnSync(python, ['-c', program, ...command, '-f', '-'], { input: values, encoding: 'utf8' }); // prettier-ignore
  if (status !== 0) throw new Error(`${stdout}${stderr}`);
  return stdout;
}

/** Schema errors of the manifests of Kubernetes' own kinds; strict, so an unknown field is an error. */
function invalid(yaml: string): string[] {
  const program = `
import sys, yaml, kubernetes_validate
for each in yaml.safe_load_all(sys.stdin):
    if not each or "." in each["apiVersion"].split("/")[0] and not each["apiVersion"].split("/")[0].endswith(".k8s.io"): continue
    if each["apiVersion"].startswith("gateway."): continue
    try: kubernetes_validate.validate(each, "1.37.0", strict=True)
    except Exception as error: print(each["kind"], str(error).replace("\\n", " ")[:500])
`;
  const { stdout, stderr } = spawnSync(python, ['-c', program], { input: yaml, encoding: 'utf8' });
  return [...stdout.split('\n'), ...stderr.split('\n')].filter((line) => line !== '');
}

const documents = (yaml: string): Manifest[] =>
  parseAllDocuments(yaml).flatMap((each) => (each.contents ? [each.toJS() as Manifest] : []));

/** Expects that the server starts with these settings, and that its container has few privileges. */
async function expectServed(manifests: readonly Manifest[]): Promise<void> {
  const settings = manifests.flatMap(({ data }) => data?.['server.yaml'] ?? []);
  for (const each of settings) serveSettings(documents(each)[0], 'server.yaml');
  const containers = manifests.flatMap(({ spec }) => spec?.containers ?? spec?.template?.spec.containers ?? []);
  expect(containers).toHaveLength(1);
  const [{ args, securityContext, volumeMounts }] = containers as [Container];
  let help = '';
  await main(['serve', '--help'], { stdout: { write: (text) => (help += text) }, stderr: { write: () => true } });
  const flags = args.filter((each) => each.startsWith('--')).map((each) => each.split('=')[0]!);
  expect(flags.filter((flag) => !help.includes(`${flag} `))).toEqual([]);
  expect(securityContext).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  const writable = volumeMounts.filter(({ readOnly }) => !readOnly).map(({ mountPath }) => mountPath);
  expect(writable).toEqual(['/cache', '/tmp']);
}

/** Everything that the chart can make. */
const FULL = `
model: { name: vit, path: /models/vit, volume: { persistentVolumeClaim: { claimName: models } }, subPath: vit }
adapters: s3://models/vit-adapters
objectStore: { endpoint: 'http://minio:9000', secret: minio }
hub: { secret: hub }
settings: { queue: { maxWait: 5000 } }
autoscaling: { enabled: true }
serviceMonitor: { enabled: true, labels: { release: prometheus } }
gateway: { enabled: true, parentRefs: [{ name: public }], hostnames: [lora.example.org] }
ingress: { enabled: true, host: lora.example.org, tls: [{ hosts: [lora.example.org], secretName: tls }] }
podLabels: { team: a }
imagePullSecrets: [{ name: pull }]
`;

describe.skipIf(!can(`import kubernetes_validate; ${HELM}; assert os.path.exists(helm)`))('the chart', () => {
  it.each([
    ['by itself', '{}', ['PodDisruptionBudget', 'ServiceAccount', 'ConfigMap', 'Service', 'Deployment']],
    ['with everything', FULL, ['PodDisruptionBudget', 'ServiceAccount', 'ConfigMap', 'Service', 'Deployment', 'HorizontalPodAutoscaler', 'Ingress', 'BackendTrafficPolicy', 'HTTPRoute', 'ServiceMonitor']],
    ['with as little as can be', 'serviceAccount: { create: false }\npodDisruptionBudget: { enabled: false }\nsettingsSecret: server\nhashBy: ""\ngrpc: { enabled: false }\n', ['Service', 'Deployment']],
  ])('%s', async (_, values, kinds) => {
    expect(helm(['lint', '--strict', chart], values)).toContain('0 chart(s) failed');
    const yaml = helm(['template', 'my', chart], values);
    expect(invalid(yaml)).toEqual([]);
    const manifests = documents(yaml);
    expect(manifests.map(({ kind }) => kind).sort()).toEqual([...kinds].sort());
    await expectServed(manifests);
  }); // prettier-ignore

  it('has requests with one header go to the same pods', () => {
    const yaml = helm(['template', 'my', chart], `${FULL}\nhashBy: X-Lora-Adapter\n`);
    expect(yaml).toContain('nginx.ingress.kubernetes.io/upstream-hash-by: "$http_x_lora_adapter"');
    expect(yaml).toContain('name: X-Lora-Adapter');
  });

  it.each([
    ['adapter: s3://x', 'Additional property adapter is not allowed'],
    ['adapters: runs', 'Does not match pattern'],
    ['gateway: { enabled: true }', 'gateway.parentRefs is empty'],
  ])('refuses %s', (values, message) => {
    expect(() => helm(['template', 'my', chart], values)).toThrow(message);
  });

  it('finds a field wrong that Kubernetes does not have', () => {
    const yaml = helm(['template', 'my', chart]).replace('imagePullPolicy:', 'pullPolicy:');
    expect(invalid(yaml)).toEqual([expect.stringContaining('pullPolicy')]);
  });
});

it("KServe's runtime starts the server", async () => {
  const yaml = readFileSync(path.join(deploy, 'kserve/servingruntime.yaml'), 'utf8');
  await expectServed(documents(yaml));
});

it('the image is of nobody, and asks the server whether it is ready', () => {
  const dockerfile = readFileSync(path.join(deploy, 'Dockerfile'), 'utf8');
  expect(dockerfile).toContain('\nUSER 65534:65534\n');
  expect(dockerfile).toMatch(/^HEALTHCHECK .*\["node", "\/app\/health.mjs"\]$/m);
});
