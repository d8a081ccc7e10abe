"""Tools for agents, by the Model Context Protocol: over stdio, or streamable HTTP.

agent ──tool call──▶ server ──▶ tools ──roots──▶ a file that the operator allowed ──Model──▶ answer
"""
