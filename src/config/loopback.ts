import { isIPv4 } from 'node:net';

/** Whether the host is in 127.0.0.0/8, is ::1, or is a name that RFC 6761 reserves for loopback. */
export function isLoopbackHost(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.');
  return host === '::1' || /^([a-z0-9-]+\.)*localhost$/i.test(host);
}

/** Whether a `Host` or `:authority` header names a loopback host. The header may contain a port. */
export function isLoopbackAuthority(authority: string | undefined): boolean {
  const [, ipv6, name] =
    /^(?:\[([0-9a-f:]+)\]|([a-z0-9.-]{1,253}))(?::\d{1,5})?$/i.exec(authority ?? '') ?? [];
  return isLoopbackHost(ipv6 ?? name ?? '');
}
