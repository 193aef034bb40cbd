/** @file Ends with 0 where the server of this container is ready: for HEALTHCHECK, without curl. ONNX_LORA_HEALTH_URL names another address. */

const url = process.env['ONNX_LORA_HEALTH_URL'] ?? 'http://127.0.0.1:8080';
const answer = await fetch(`${url}/v2/health/ready`, { signal: AbortSignal.timeout(2500) }).catch(() => undefined);
process.exitCode = answer?.ok ? 0 : 1;
