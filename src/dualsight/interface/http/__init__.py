"""The server: one file a contract that clients already speak, and one service behind all of them.

    socket ─▶ logs ─▶ keys ─▶ body (limits) ─▶ lion_ai · azure · openai · own · health
                                                    │ bytes, texts
                                                    ▼
                                                 service ─▶ decoding threads ─▶ batchers ─▶ engine

What is refused, and with which status, is one table: errors.py.
"""
